"""
The port to language models: a question goes in, an answer or an error comes out.

    ModelFailed (TransientError)     the model gave no usable answer now; the same question may succeed later
    ModelRefused (PermanentError)    this model will never answer this request; another model still may
    TurnFailed (PermanentError)      every try on every model is used up

Errors name the model and a code (`http_503`, `timeout`, `empty`), never a word of the conversation.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from streams.errors import PermanentError, TransientError


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation so far; a `person` is one of ours who answered in the AI's place."""

    role: Literal["contact", "assistant", "person"]
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is asked: the history in order, then the messages that nobody has answered."""

    thread: str
    history: tuple[Turn, ...]
    unanswered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said. `closes`: the conversation is over; `hands_off`: the contact wants a person."""

    text: str
    closes: bool
    hands_off: bool
    model: str
    input_tokens: int
    output_tokens: int


class ReplyGenerator(Protocol):
    """One model. May be asked concurrently."""

    async def generate(self, question: Question) -> Answer:
        """
        Ask once, without retries of its own. Raises `ModelFailed` or `ModelRefused`; an answer always has text.

        Cancelling ends the request.
        """


class ModelFailed(TransientError):
    """The model gave no usable answer."""

    def __init__(self, model: str, code: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{model}: {code}")
        self.model = model
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class ModelRefused(PermanentError):
    """The model will never answer this request."""

    def __init__(self, model: str, code: str) -> None:
        super().__init__(f"{model}: {code}")
        self.model = model
        self.code = code


class Blame(StrEnum):
    """What a failed turn speaks of."""

    MESSAGE = "message"
    """A model was there, and had no answer to this."""
    PROVIDER = "provider"
    """Nothing was there, or it was too slow: that may be the message's fault, or nobody's."""
    ACCOUNT = "account"
    """No model serves us now, whatever it is asked: a wrong key, an unknown model, too much for our limits."""


_ACCOUNT_CODES = frozenset({"quota", "http_401", "http_402", "http_403", "http_404", "http_429"})
_PROVIDER_CODES = frozenset({"timeout", "connection", "http_408", "http_425"})


def blame_of(codes: Collection[str]) -> Blame:
    """What the last error of each model says together; nothing at all is the provider's."""
    if not codes or any(code in _PROVIDER_CODES or code.startswith("http_5") for code in codes):
        return Blame.PROVIDER
    return Blame.ACCOUNT if all(code in _ACCOUNT_CODES for code in codes) else Blame.MESSAGE


class TurnFailed(PermanentError):
    """No model answered. `fingerprint` is the same for failures of the same kind, so that dead letters can be grouped."""

    def __init__(self, attempts: int, error: str, fingerprint: str, blame: Blame) -> None:
        super().__init__(f"{error} after {attempts} attempts")
        self.blame = blame
        self.attempts = attempts
        self.error = error
        self.fingerprint = fingerprint
