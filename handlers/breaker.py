"""
What tells an outage from poison.

When everything fails the group waits, and tries now and then. And what fails again and again for a reason that says nothing about
it, such as a status 503, is poison only where its neighbours succeed meanwhile, however often it failed: a quiet system has an
outage as well as a busy one, and the failures of one message look alike in both. What is known here lasts as long as the process:
who begins anew knows of no success yet, and gives nothing up too early.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from handlers.alone import waiting
from streams import leaving
from streams.retry import RetryPolicy
from telemetry import log

FAILURES_IN_A_ROW = 10
THREADS_IN_A_ROW = 3
"""So many failures of so many threads, with no success between them, are an outage; fewer threads may each have a poison."""

FIRST_PAUSE_SECONDS = 1.0
"""The first try of a paused group comes so soon; the pauses double up to the breaker's own."""

PATIENCE_SECONDS = 4 * 3600.0

STREAKS_KEPT = 10_000
"""What another worker, a person or a callback brought to an end leaves its streak behind."""


@dataclass(slots=True)
class _Streak:
    """The failures of one event since it succeeded last; `successes` are those of others when it failed last."""

    began_at: float
    successes: int
    failures: int = 0
    witnessed: int = 0

    def failed(self, begun: int | None, successes: int) -> None:
        self.failures += 1
        if begun is not None and begun > self.successes:
            self.witnessed += 1
        self.successes = successes


class Breaker:
    """
    Closed while things work. Once open it lets one try through after each pause, until one succeeds.

    A try that lasts longer than the pause holds up nobody: the next one begins beside it.
    """

    def __init__(
        self,
        group: str,
        *,
        pause_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._pauses = RetryPolicy(base_seconds=min(FIRST_PAUSE_SECONDS, pause_seconds), max_seconds=pause_seconds)
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._failures = 0
        self._failing: set[str] = set()
        self._successes = 0
        self._streaks: OrderedDict[str, _Streak] = OrderedDict()
        self._is_open = False
        self._tries_while_open = 0
        self._reason = ""
        self._probes = asyncio.Lock()

    @property
    def group(self) -> str:
        return self._group

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def reason(self) -> str:
        """What was told when it opened last."""
        return self._reason

    async def admit(self) -> bool:
        """
        Pass at once while closed; while open, wait in line for a try. Whether it waited: what was known before may be old.

        Raises `LeaseLost` where the partition is being given back meanwhile.
        """
        if not self._is_open:
            return False
        async with waiting(), leaving.limited(0.0), self._probes:
            if self._is_open:
                self._tries_while_open += 1
                await asyncio.sleep(self._pauses.pause_seconds(self._tries_while_open, chance=0.0))
        return True

    def begin(self) -> int:
        """A try begins: what it is to hand over when it fails."""
        return self._successes

    def succeeded(self, event: str) -> None:
        """Something worked, for this event."""
        if self._is_open:
            log.warning("group.resumed", group=self._group)
        self._successes += 1
        self._streaks.pop(event, None)
        self._failures = self._tries_while_open = 0
        self._failing.clear()
        self._is_open = False

    def failed(self, error: str, event: str, thread: str, begun: int | None = None) -> None:
        """
        A try for this event of a thread failed. It may be the event's own fault where the try hands over how it had `begun`.

        Such a try is witnessed where another event succeeded between the failure before and the beginning of this try:

            this one:  ──✗                ├────✗      witnessed: others could, and then it could not
            another:          ──✓

            this one:  ──✗      ├──────────────✗      not witnessed: it may have begun in an outage that ended meanwhile
            another:                  ──✓

        What became of other events of the thread says nothing about it: they may have failed in another outage, hours ago.
        """
        self._streak_of(event).failed(begun, self._successes)
        self._failures += 1
        self._failing.add(thread)
        if self._failures >= FAILURES_IN_A_ROW and len(self._failing) >= THREADS_IN_A_ROW:
            self.trip(error)

    def _streak_of(self, event: str) -> _Streak:
        if event not in self._streaks:
            self._streaks[event] = _Streak(self._clock(), self._successes)
            if len(self._streaks) > STREAKS_KEPT:
                self._streaks.popitem(last=False)
        return self._streaks[event]

    def is_first(self, event: str) -> bool:
        """Whether it has failed once, and no more."""
        return event in self._streaks and self._streaks[event].failures == 1

    def is_poison(self, event: str, witnessed: int) -> bool:
        """Whether so many tries failed while others succeeded, or it has lasted too long; never while the group is paused."""
        streak = self._streaks.get(event)
        if self._is_open or streak is None:
            return False
        return streak.witnessed >= witnessed or self.has_lasted_too_long(event)

    def has_lasted_too_long(self, event: str) -> bool:
        """Whether it has known nothing but failures for longer than anybody waits; never while the group is paused."""
        streak = self._streaks.get(event)
        if self._is_open or streak is None:
            return False
        return self._clock() - streak.began_at >= self._patience_seconds

    def forget(self, event: str) -> None:
        """It was given up; sent round again it is judged anew."""
        self._streaks.pop(event, None)

    def trip(self, error: str) -> None:
        """Pause the group now."""
        if not self._is_open:
            log.error("group.paused", group=self._group, error=error)
            self._reason = error
        self._is_open = True
