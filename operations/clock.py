"""The development clock: later, at once."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from operations.connection import Connection
from operations.errors import ActLapsed, ActRefused
from projections.database import sql
from projections.store import load_checkpoints
from streams.events import AnyEventData, ClockAdvanced, ClockTicked
from streams.log import Appended
from streams.partitions import START, partition_subject

FURTHEST = timedelta(days=36_525)
"""A hundred years ahead of the world; the fold passes over what leaves the calendar."""


_MILLISECOND = timedelta(milliseconds=1)

ARBITER = 0
"""The partition whose order tells which of two advances at once came first."""
ROUNDS = 5
"""So often at most an advance that others overtook is made up for."""


async def advance(connection: Connection, by: timedelta) -> timedelta:
    """
    Move log time ahead in every partition, and return once the read model shows what came of it: the whole offset.

    Two advances at once add up, whoever comes first. The fold makes whatever is overdue idle or expired at the advance itself; a
    tick after it lets the groups look for what a deadline has left to them. Time never goes back. Raises `ActRefused`, also
    wherever production was ever served, `ActLapsed` where others move it again and again, and `NotFoldedYet` where no projector
    runs.
    """
    await connection.join()
    if connection.is_production:
        raise ActRefused("this log is served in production, where nobody moves the clock")
    left_ms = by // _MILLISECOND
    if left_ms <= 0:
        raise ActRefused("the clock only goes forward")
    for made in range(ROUNDS):
        before = await _clock(connection)
        offset_ms = before.offset_ms + left_ms
        _require_near(offset_ms * _MILLISECOND, is_written=made > 0)
        left_ms -= await _moved(connection, before, offset_ms)
        if left_ms <= 0:
            await _tick(connection)
            return offset_ms * _MILLISECOND
    raise ActLapsed(f"others move the clock at the same time: {left_ms * _MILLISECOND} of {by} did not count")


@dataclass(frozen=True, slots=True)
class _Clock:
    """How far ahead log time runs by the furthest partition, and up to which position of the arbiter that is known."""

    offset_ms: int
    position: int


async def _clock(connection: Connection) -> _Clock:
    """Once everything that stands in the log is folded."""
    await connection.caught_up()
    async with connection.database.transaction(readonly=True) as reading:
        checkpoints = await load_checkpoints(reading, range(connection.log.partitions))
    position = checkpoints[ARBITER].position if ARBITER in checkpoints else START
    return _Clock(max((each.state.offset_ms for each in checkpoints.values()), default=0), position)


async def _moved(connection: Connection, before: _Clock, offset_ms: int) -> int:
    """
    By how much this moved the clock: less than asked where others moved it since `before`.

    The arbiter comes first, so that nobody reads an offset from another partition of which the arbiter does not know yet.
    """
    advanced = ClockAdvanced(offset_ms=offset_ms)
    first = await connection.append(advanced, subject=partition_subject(ARBITER))
    others = await _append(connection, advanced, (each for each in range(connection.log.partitions) if each != ARBITER))
    await connection.folded(first, *others)
    async with connection.database.transaction(readonly=True) as reading:
        epoch = (await load_checkpoints(reading, [ARBITER]))[ARBITER].epoch
        asked = (epoch, ARBITER, partition_subject(ARBITER), before.position, first.position)
        meanwhile_ms = await reading.fetchval(sql("clock_advanced_between"), *asked)
    return max(0, offset_ms - max(before.offset_ms, meanwhile_ms or 0))


async def _tick(connection: Connection) -> None:
    nominal = datetime.fromtimestamp(await connection.log.time_ms() / 1000, UTC)
    await connection.folded(*await _append(connection, ClockTicked(nominal=nominal), range(connection.log.partitions)))


async def _append(connection: Connection, data: AnyEventData, partitions: Iterable[int]) -> list[Appended]:
    return await asyncio.gather(*(connection.append(data, subject=partition_subject(each)) for each in partitions))


def _require_near(offset: timedelta, *, is_written: bool) -> None:
    if offset > FURTHEST:
        raise (ActLapsed if is_written else ActRefused)(
            f"the clock would be {offset.days} days ahead; {FURTHEST.days} is the most"
        )
