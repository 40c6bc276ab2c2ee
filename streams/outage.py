"""One line when something stops answering and one when it answers again, however often it is tried in between."""

import random
import traceback
from pathlib import Path

from structlog import get_logger

from streams.retry import RetryPolicy

log = get_logger("prosa.outage")

POLICY = RetryPolicy(base_seconds=0.1, max_seconds=2.0)


class Outage:
    """Counts the failures in a row of one dependency, as seen by one task."""

    def __init__(self, what: str, policy: RetryPolicy = POLICY) -> None:
        self._what = what
        self._policy = policy
        self._failures = 0

    def failed(self, error: Exception) -> float:
        """Note a failure; returns how many seconds to wait before the next try."""
        self._failures += 1
        if self._failures == 1:
            log.warning(f"{self._what}: waiting", reason=str(error) or type(error).__name__)
        return self._policy.pause_seconds(self._failures, random.random())  # noqa: S311 - spreads tries, guards nothing

    def over(self) -> None:
        """Note a success."""
        if self._failures:
            log.info(f"{self._what}: going on", failures=self._failures)
        self._failures = 0


def place_of(error: BaseException) -> str:
    """The innermost frames that raised, without any message: a message may hold what must not be logged."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
