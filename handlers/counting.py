"""Gauges that must ask a server: collected in the background, so that a scrape never waits for one, and one never harms it."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import product
from math import nan

from prometheus_client import Gauge

import metrics
from handlers.groups import Groups
from handlers.regularly import regularly
from metrics import Metric
from projections.counts import Counts, count, count_conversations, pause_after
from projections.database import Database
from streams.lag import lag_after

BELIEVED_SECONDS = 120.0
MISSED_COUNTS = 3
"""What was counted is not known any more after the longer of the two: so many pauses, or so many seconds."""

READ_MODEL = (
    metrics.DEAD_LETTERS,
    metrics.SKIPPED_EVENTS,
    metrics.UNCONFIRMED_REPLIES,
    metrics.UNANSWERED_CONVERSATIONS,
    metrics.OLDEST_UNANSWERED_AGE_SECONDS,
    metrics.UNSENT_CONVERSATIONS,
    metrics.OLDEST_UNSENT_AGE_SECONDS,
)


async def count_regularly(
    what: str, counted: Callable[[], Awaitable[None]], pause: Callable[[float], float] = pause_after
) -> None:
    """Count for ever. What cannot be counted now, for whatever reason, is told once and counted later."""
    await regularly(f"cannot count {what}", counted, pause)


class CountedGauges:
    """Gauges that a count sets. Once the last count is too long ago they are unknown: an old figure would hide a newer one."""

    def __init__(self, gauges: Sequence[Metric[Gauge]], count: Callable[[], Awaitable[None]]) -> None:
        self._gauges = gauges
        self._count = count
        self._counted_at = nan
        self._believed_seconds = BELIEVED_SECONDS

    @property
    def age_seconds(self) -> float:
        """Since the last count; not a number before the first."""
        return time.monotonic() - self._counted_at

    async def count(self) -> None:
        """Count, and set the gauges. Raises what the count raises."""
        began = time.monotonic()
        await self._count()
        self._counted_at = time.monotonic()
        self._believed_seconds = max(BELIEVED_SECONDS, MISSED_COUNTS * pause_after(self._counted_at - began))

    def forget_what_is_old(self) -> None:
        """Make the gauges NaN where nothing was counted for too long."""
        if self.age_seconds <= self._believed_seconds:
            return
        for gauge in self._gauges:
            for value in _values_of(gauge):
                gauge.of(*value).set(nan)


def _values_of(gauge: Metric[Gauge]) -> Iterable[tuple[str, ...]]:
    """Every one that the list names, of each label."""
    return product(*(values for values in gauge.labels.values() if not isinstance(values, str)))


def read_model_gauges(database: Database) -> CountedGauges:
    """What waits in the read model; the clock counts it, since there are few of it."""

    async def show() -> None:
        _show(await count(database))

    return CountedGauges(READ_MODEL, show)


def conversation_gauges(database: Database) -> CountedGauges:
    """All conversations. They are counted apart from what waits, which is urgent: so many may take long."""

    async def show() -> None:
        async with database.transaction(readonly=True) as connection:
            found = await count_conversations(connection)
        for status in metrics.CONVERSATIONS.labels["status"]:
            metrics.CONVERSATIONS.of(status).set(found.get(status, 0))

    return CountedGauges([metrics.CONVERSATIONS], show)


def _show(counts: Counts) -> None:
    for group in metrics.HANDLING:
        metrics.DEAD_LETTERS.of(group).set(counts.dead_letters.get(group, 0))
    metrics.SKIPPED_EVENTS.of().set(counts.skipped_events)
    metrics.UNCONFIRMED_REPLIES.of().set(counts.unconfirmed_replies)
    metrics.UNANSWERED_CONVERSATIONS.of().set(counts.unanswered)
    metrics.OLDEST_UNANSWERED_AGE_SECONDS.of().set(counts.oldest_unanswered_seconds)
    metrics.UNSENT_CONVERSATIONS.of().set(counts.unsent)
    metrics.OLDEST_UNSENT_AGE_SECONDS.of().set(counts.oldest_unsent_seconds)


class ProjectorLag:
    """How many entries the projector has not handled: its positions stand in Postgres, so that the log does not count for it."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self.events: dict[int, int | None] = {}

    async def count(self) -> None:
        """Count again. Raises `LogUnavailable`."""
        lags = await lag_after(self._groups.log, dict(self._groups.projecting.cursors))
        self.events = {partition: lag.events for partition, lag in lags.items()}
