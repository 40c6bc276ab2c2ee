"""The development clock: later, at once."""

import asyncio
from datetime import UTC, datetime, timedelta

from operations.connection import Connection
from operations.errors import ActRefused
from projections.store import load_checkpoints
from streams.events import AnyEventData, ClockAdvanced, ClockTicked
from streams.log import Appended
from streams.partitions import partition_subject

FURTHEST = timedelta(days=36_525)
"""A hundred years ahead of the world; the fold passes over what leaves the calendar."""


async def advance(connection: Connection, by: timedelta) -> timedelta:
    """
    Move log time ahead in every partition, and return once the read model shows what came of it: the whole offset.

    The fold makes whatever is overdue idle or expired at the advance itself; a tick after it lets the groups look for what a
    deadline has left to them. Time never goes back. Raises `ActRefused`, also wherever production was ever served, and
    `NotFoldedYet` where no projector runs.
    """
    await connection.join()
    if connection.is_production:
        raise ActRefused("this log is served in production, where nobody moves the clock")
    if by <= timedelta():
        raise ActRefused("the clock only goes forward")
    offset = await _offset(connection) + by
    if offset > FURTHEST:
        raise ActRefused(f"the clock would be {offset.days} days ahead; {FURTHEST.days} is the most")
    offset_ms = offset // timedelta(milliseconds=1)
    await _append_everywhere(connection, ClockAdvanced(offset_ms=offset_ms))
    nominal = datetime.fromtimestamp(await connection.log.time_ms() / 1000, UTC)
    await connection.folded(*await _append_everywhere(connection, ClockTicked(nominal=nominal)))
    return timedelta(milliseconds=offset_ms)


async def _offset(connection: Connection) -> timedelta:
    """How far ahead log time runs: the furthest of all partitions, once everything that stands in the log is folded."""
    await connection.caught_up()
    async with connection.database.transaction(readonly=True) as reading:
        checkpoints = await load_checkpoints(reading, range(connection.log.partitions))
    return timedelta(milliseconds=max((each.state.offset_ms for each in checkpoints.values()), default=0))


async def _append_everywhere(connection: Connection, data: AnyEventData) -> list[Appended]:
    subjects = [partition_subject(partition) for partition in range(connection.log.partitions)]
    return await asyncio.gather(*(connection.append(data, subject=subject) for subject in subjects))
