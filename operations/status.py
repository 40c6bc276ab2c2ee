"""How the system stands: who serves what, how far behind it is, and what waits for whom. It only looks, and makes nothing."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, TypeVar

from operations.connection import Connection
from projections.agreement import disagreements_with_log
from projections.changes import PROJECTOR, RESPONDER, SENDER
from projections.counts import count_conversations, pause_after
from projections.database import Connection as DatabaseConnection
from projections.database import sql
from streams.errors import ProsaError
from streams.lag import Lag, lag_after, lag_of_group
from streams.log import Holder
from streams.partitions import START

_DEAD_LETTERS = "dead letters of the "

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits, and how long the oldest of it has, by the log's clock."""

    number: int = 0
    oldest_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class LogStatus:
    """
    The log as it stands: who holds each partition, and each group's lag in each.

    The projector's is there only where Postgres answers too, since its positions stand there; and so is `lost`: the partitions of
    which the log lost what was folded, and how that shows. Where it lost its tail, `events` of every lag is None.
    """

    partitions: int
    epoch: int
    holders: Mapping[int, Holder]
    lags: Mapping[str, Mapping[int, Lag]]
    lost: Mapping[int, str] = field(default_factory=dict)

    @property
    def unserved(self) -> list[int]:
        """Partitions that nobody serves."""
        return [partition for partition in range(self.partitions) if partition not in self.holders]


@dataclass(frozen=True, slots=True)
class ReadModelStatus:
    """
    The read model as it stands.

    `tick_age_seconds` is that of the partition whose last tick is oldest, None where one never had any, or was never folded;
    while the log does not answer, of those that were. `clock_ahead_seconds` is the development offset, 0 in production.
    """

    conversations: Mapping[str, int]
    unanswered_by_ai: Waiting
    unanswered_by_person: Waiting
    unsent: Waiting
    unconfirmed: Waiting
    dead_letters: Mapping[str, Waiting]
    skipped_events: int
    tick_age_seconds: float | None
    clock_ahead_seconds: float


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What could be seen. Where log or read model could not be looked at, `problems` says why, by its name."""

    log: LogStatus | None
    read_model: ReadModelStatus | None
    problems: Mapping[str, str]


class Totals:
    """All conversations by status, counted anew only when it is time: who looks every second must not read the whole table."""

    def __init__(self) -> None:
        self._counted: Mapping[str, int] = {}
        self._again_at = -inf

    async def look(self, reading: DatabaseConnection) -> Mapping[str, int]:
        """What was counted last, at most `pause_after` ago. Raises what the database raises."""
        began = time.monotonic()
        if began >= self._again_at:
            self._counted = await count_conversations(reading)
            self._again_at = time.monotonic() + pause_after(time.monotonic() - began)
        return self._counted


async def status(connection: Connection, totals: Totals | None = None) -> SystemStatus:
    """
    Look everywhere at once; what does not answer is told, and the rest is shown all the same.

    Whoever looks again and again passes the same `totals`.
    """
    problems: dict[str, str] = {}
    rows = asyncio.create_task(_rows(connection, totals or Totals()))
    log = asyncio.create_task(_log(connection))
    await asyncio.wait([rows, log])
    for name, task in (("log", log), ("read_model", rows)):
        error = task.exception()
        if isinstance(error, ProsaError):
            problems[name] = str(error) or type(error).__name__
        elif error:
            raise error
    found = None if "read_model" in problems else rows.result()
    seen = None if "log" in problems else log.result()
    if seen and found:
        try:
            seen = await _with_projector(connection, seen, found[0])
        except ProsaError as error:
            problems["log"] = str(error)
    return SystemStatus(seen, _read_model(seen.partitions if seen else 0, *found) if found else None, problems)


async def _log(connection: Connection) -> LogStatus:
    log = connection.log
    await log.join()  # each time, since who watches may see a new generation begin
    lags = {group: await lag_of_group(log, group) for group in (RESPONDER, SENDER)}
    return LogStatus(log.partitions, log.epoch, await log.holders(), lags)


async def _with_projector(connection: Connection, seen: LogStatus, partitions: Any) -> LogStatus:
    """The log's end is looked at after the checkpoints, so that what is new since then counts as not folded yet."""
    checkpoints = {row["partition"]: row["position"] for row in partitions if row["epoch"] == seen.epoch}
    lags = await lag_after(connection.log, dict.fromkeys(range(seen.partitions), START) | checkpoints)
    lost = await disagreements_with_log(connection.database, connection.log)
    cut = lost.keys() & checkpoints.keys()
    known = {group: _without_lost(each, cut) for group, each in {PROJECTOR: lags, **seen.lags}.items()}
    return LogStatus(seen.partitions, seen.epoch, seen.holders, known, lost)


def _without_lost(lags: Mapping[int, Lag], cut: Collection[int]) -> Mapping[int, Lag]:
    """A mark in a partition that lost its tail is one in another log: nothing counts from there."""
    return {partition: replace(lag, events=None) if partition in cut else lag for partition, lag in lags.items()}


async def _rows(connection: Connection, totals: Totals) -> tuple[Any, Any, Mapping[str, int]]:
    async with connection.database.transaction(readonly=True) as reading:
        return (
            await reading.fetch(sql("status_partitions")),
            await reading.fetch(sql("status_waiting")),
            await totals.look(reading),
        )


def _read_model(of_log: int, partitions: Any, waiting: Any, conversations: Mapping[str, int]) -> ReadModelStatus:
    found = {row["kind"]: Waiting(row["number"], _seconds(row["oldest_ms"])) for row in waiting}
    nothing = Waiting()
    tick_ages = [row["now_ms"] - row["ticked_at_ms"] for row in partitions if row["ticked_at_ms"] is not None]
    return ReadModelStatus(
        conversations=conversations,
        unanswered_by_ai=found.get("unanswered by the AI", nothing),
        unanswered_by_person=found.get("unanswered by a person", nothing),
        unsent=found.get("unsent", nothing),
        unconfirmed=found.get("unconfirmed", nothing),
        dead_letters=dead_letters_of(found),
        skipped_events=found.get("skipped", nothing).number,
        tick_age_seconds=_seconds(max(tick_ages)) if len(tick_ages) >= max(1, of_log, len(partitions)) else None,
        clock_ahead_seconds=max((row["clock_offset_ms"] for row in partitions), default=0) / 1000,
    )


def dead_letters_of(waiting: Mapping[str, _T]) -> dict[str, _T]:
    """Of what waits, by kind, the open dead letters: by their group."""
    return {kind.removeprefix(_DEAD_LETTERS): each for kind, each in sorted(waiting.items()) if kind.startswith(_DEAD_LETTERS)}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else max(0, milliseconds) / 1000
