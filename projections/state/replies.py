"""A reply as it stands: its parts, and the attempts to send them."""

from dataclasses import dataclass
from enum import StrEnum

from projections.state.conversations import Unanswered


class Outcome(StrEnum):
    """How a send attempt ended."""

    SENT = "sent"
    REJECTED = "rejected"
    DISPROVED = "disproved"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One granted try to send a part. While it has no outcome, nobody else may call Twilio for this part."""

    id: str
    started_at_ms: int
    """The append time of its start, without any development offset: it is compared with Twilio's clock."""
    outcome: Outcome | None = None
    proof_sid: str | None = None
    """A callback carried this attempt: it reached Twilio, under this sid."""
    failed_code: int | None = None
    """Twilio took it, and reported later that it was not delivered; empty again if it was seen to arrive after all."""


class PartStatus(StrEnum):
    OPEN = "open"
    STARTED = "started"
    SENT = "sent"
    REJECTED = "rejected"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Part:
    """One WhatsApp message of a reply."""

    text: str
    status: PartStatus = PartStatus.OPEN
    attempts: tuple[Attempt, ...] = ()

    @property
    def holder(self) -> Attempt | None:
        """The one attempt that may call Twilio now."""
        return self.attempts[-1] if self.status is PartStatus.STARTED else None


class ReplyKind(StrEnum):
    ANSWER = "answer"
    FAILURE_SENTENCE = "failure_sentence"
    PERSON = "person"


class ReplyStatus(StrEnum):
    """`accepted` while something of it is still to be sent."""

    ACCEPTED = "accepted"
    SENT = "sent"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to the contact; accepted by the fold or superseded. `number` counts the thread's replies."""

    id: str
    event: str
    conversation_id: str
    kind: ReplyKind
    status: ReplyStatus
    number: int
    at_ms: int
    parts: tuple[Part, ...]
    covers: tuple[Unanswered, ...] = ()
    closes: bool = False
    hands_off: bool = False
    is_cut: bool = False
    """Somebody took over or closed after it was accepted: what has not gone out by then stays unsaid, even if a send fails."""
    is_left_alone: bool = False
    """The sender failed on what callbacks told about it after it was finished: that waits for somebody to redrive it."""
    model: str = ""
    by: str | None = None
