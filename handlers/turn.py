"""One whole answer: every model in order, again and again with growing pauses, within one deadline."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count

from handlers.alone import waiting
from handlers.model import Answer, ModelFailed, ModelRefused, Question, ReplyGenerator, TurnFailed, blame_of
from handlers.parts import normalise
from handlers.spans import asked
from streams import leaving
from streams.retry import RetryPolicy

TIMER_SLACK_SECONDS = 0.001
"""The event loop may wake a sleeper this much too early."""


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """
    How long models are tried, and with which pauses.

    An attempt of the policy is a round, in which every model is tried once; only the deadline bounds how many there are.
    """

    policy: RetryPolicy
    request_timeout_seconds: float
    turn_timeout_seconds: float


async def answer_with_retries(
    generators: Sequence[ReplyGenerator],
    question: Question,
    *,
    limits: TurnLimits,
    chance: Callable[[], float] = random.random,
) -> Answer:
    """
    The first answer that any model gives; the fallbacks follow the first model at once, and only then is there a pause.

    A model that refused is not asked again in this turn, and one that told when to come back is left alone until then.
    Raises `TurnFailed` when every model refused, or as soon as the next try could not begin before the turn's deadline; and
    `LeaseLost` instead of a try that would begin while the partition is being given back.
    """
    turn = _Turn(generators, limits)
    try:
        async with asyncio.timeout_at(turn.deadline):
            for attempt in count(1):
                if answer := await turn.ask_each(question):
                    return answer
                await turn.wait(limits.policy.pause_seconds(attempt, chance()))
    except TimeoutError:
        turn.error = "turn timed out" if turn.error is None else f"turn timed out; {turn.error}"
    raise turn.failure()


@dataclass(slots=True)
class _Turn:
    generators: Sequence[ReplyGenerator]
    limits: TurnLimits
    attempts: int = 0
    error: str | None = None
    codes: dict[int, str] = field(default_factory=dict)
    """The last error of each model."""
    deadline: float = field(init=False)
    free_at: dict[int, float] = field(init=False)

    def __post_init__(self) -> None:
        now = asyncio.get_running_loop().time()
        self.deadline = now + self.limits.turn_timeout_seconds
        self.free_at = dict.fromkeys(range(len(self.generators)), now)

    async def ask_each(self, question: Question) -> Answer | None:
        for number in list(self.free_at):
            if self.free_at[number] <= _now() + TIMER_SLACK_SECONDS and (answer := await self._ask(number, question)):
                return answer
        return None

    async def _ask(self, number: int, question: Question) -> Answer | None:
        leaving.require_staying()
        self.attempts += 1
        try:
            async with asyncio.timeout(self.limits.request_timeout_seconds):
                answer = await asked(self.generators[number], question)
        except ModelFailed as failed:
            self.error, self.codes[number] = str(failed), failed.code
            self.free_at[number] = _now() + max(0.0, failed.retry_after_seconds or 0.0)
        except ModelRefused as refused:
            self.error, self.codes[number] = str(refused), refused.code
            del self.free_at[number]
        except TimeoutError:
            self.error, self.codes[number] = f"model {number + 1} of {len(self.generators)}: timeout", "timeout"
        else:
            if normalise(answer.text):
                return answer
            self.error, self.codes[number] = f"{answer.model}: empty", "empty"
        return None

    async def wait(self, pause: float) -> None:
        if not self.free_at:
            raise self.failure()
        until = max(_now() + pause, min(self.free_at.values()))
        if until >= self.deadline:
            raise self.failure()
        async with waiting():
            await leaving.pause(until - _now())

    def failure(self) -> TurnFailed:
        error = self.error or "no model"
        fingerprint = blake2b(error.encode(), digest_size=8).hexdigest()
        return TurnFailed(self.attempts, error, fingerprint, blame_of(self.codes.values()))


def _now() -> float:
    return asyncio.get_running_loop().time()
