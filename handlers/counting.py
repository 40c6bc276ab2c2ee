"""Gauges that must ask a server: collected in the background, so that a scrape never waits for one, and one never harms it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import nan

import metrics
from handlers.groups import Groups
from projections.counts import Counts, count
from projections.database import Database
from streams.errors import ConfigurationError, TransientError
from streams.lag import lag_after
from streams.outage import Outage

EVERY_SECONDS = 10.0
LARGEST_SHARE = 0.01
"""Of all time at most so much is spent counting: the larger the tables, the rarer it is done."""


def pause_after(took_seconds: float) -> float:
    """How long to wait after a count that took so long."""
    return max(EVERY_SECONDS, took_seconds / LARGEST_SHARE)


async def count_regularly(
    what: str, counted: Callable[[], Awaitable[None]], pause: Callable[[float], float] = pause_after
) -> None:
    """Count for ever. What cannot be counted now is counted later; what was counted before stays, and grows old."""
    outage = Outage(f"cannot count {what}")
    while True:
        began = time.monotonic()
        try:
            await counted()
            outage.over()
        except (TransientError, ConfigurationError) as error:
            outage.failed(error)
        await asyncio.sleep(pause(time.monotonic() - began))


class ReadModelGauges:
    """What stands in the read model; the clock counts it, since there are few of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted_at = nan

    @property
    def age_seconds(self) -> float:
        """Since the last count; not a number before the first."""
        return time.monotonic() - self._counted_at

    async def count(self) -> None:
        """Count, and set the gauges. Raises what the database raises."""
        _show(await count(self._database))
        self._counted_at = time.monotonic()


def _show(counts: Counts) -> None:
    for metric, label, found in (
        (metrics.CONVERSATIONS, "status", counts.conversations),
        (metrics.DEAD_LETTERS, "group", counts.dead_letters),
    ):
        for value in metric.labels[label]:
            metric.of(value).set(found.get(value, 0))
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
