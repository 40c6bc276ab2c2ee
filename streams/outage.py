"""One line when something stops answering and one when it answers again, however often it is tried in between."""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from structlog import get_logger

from streams.errors import LogUnavailable
from streams.retry import RetryPolicy

log = get_logger("prosa.outage")

T = TypeVar("T")

POLICY = RetryPolicy(base_seconds=0.1, max_seconds=2.0)


class Outage:
    """Counts the failures in a row of one dependency, as seen by one task."""

    def __init__(self, what: str, policy: RetryPolicy = POLICY, *, group: str | None = None) -> None:
        self._what = what
        self._group = group
        self._policy = policy
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether the last call failed."""
        return self._failures > 0

    def failed(self, error: Exception) -> float:
        """Note a failure; returns how many seconds to wait before the next try."""
        self._failures += 1
        if self._failures == 1:
            log.warning("outage.begun", what=self._what, group=self._group, reason=str(error) or type(error).__name__)
        return self._policy.pause_seconds(self._failures, random.random())  # noqa: S311 - spreads tries, guards nothing

    def over(self) -> None:
        """Note a success."""
        if self._failures:
            log.info("outage.ended", what=self._what, group=self._group, failures=self._failures)
        self._failures = 0


def place_of(error: BaseException) -> str:
    """The innermost frames that raised, without any message: a message may hold what must not be logged."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))


async def until_available(call: Callable[[], Awaitable[T]], what: str, *, group: str | None = None) -> T:
    """Try until the log answers, however long it takes."""
    outage = Outage(what, group=group)
    while True:
        try:
            answer = await call()
        except LogUnavailable as error:
            await asyncio.sleep(outage.failed(error))
        else:
            outage.over()
            return answer
