"""How far a reader is behind the log's end, for gauges and for people: counted in entries, and in seconds of waiting."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from streams.log import EventLog
from streams.partitions import START

COUNTED = 1000
"""So many entries are counted where the server cannot count for itself; what lies beyond is not."""


@dataclass(frozen=True, slots=True)
class Lag:
    """
    What lies after a position of one partition.

    `events` is how many entries, None where the engine cannot tell. `seconds` is how long the oldest of them has stood in the
    log, by the log's own clock; 0 where there is none.
    """

    position: int
    events: int | None
    seconds: float


async def lag_of_group(log: EventLog, group: str) -> Mapping[int, Lag]:
    """A consumer group's lag in every partition; where it has no mark yet, everything lies before it. It only looks."""
    marks = await log.marks(group)
    positions = {partition: marks[partition].position if partition in marks else START for partition in range(log.partitions)}
    seconds = await seconds_after(log, positions)
    return {
        partition: Lag(position, marks[partition].lag if partition in marks else None, seconds[partition])
        for partition, position in positions.items()
    }


async def lag_after(log: EventLog, positions: Mapping[int, int]) -> Mapping[int, Lag]:
    """The lag of whoever keeps its positions elsewhere, as the projector does; `events` is `COUNTED` where there are more."""
    seconds = await seconds_after(log, positions)
    late = {partition: position for partition, position in positions.items() if seconds[partition]}
    counts = dict.fromkeys(positions, 0)
    for record in await log.read(late, limit=COUNTED) if late else ():
        counts[record.partition] += 1
    return {partition: Lag(position, counts[partition], seconds[partition]) for partition, position in positions.items()}


async def seconds_after(log: EventLog, positions: Mapping[int, int]) -> Mapping[int, float]:
    """How long the first entry after each position has stood in the log; 0 where there is none. One read, of one entry each."""
    oldest = {record.partition: record.appended_at_ms for record in await log.read(positions, limit=1)} if positions else {}
    now_ms = await log.time_ms()
    return {partition: max(0.001, (now_ms - oldest[partition]) / 1000) if partition in oldest else 0.0 for partition in positions}


def ages_in_seconds(since_ms: Mapping[int, int | None]) -> Mapping[int, float]:
    """
    How long each partition has waited, without asking the log: 0 where it waits for nothing.

    The log's stamps are compared with this host's clock, so that clocks which differ show here.
    """
    now_ms = time.time() * 1000
    return {partition: max(0.0, now_ms - since) / 1000 if since else 0.0 for partition, since in since_ms.items()}
