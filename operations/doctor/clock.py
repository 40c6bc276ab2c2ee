"""Whether a clock runs: the age of the last tick in the log."""

from collections.abc import Sequence

from handlers.ticker import LATE_SECONDS
from operations.doctor.findings import Finding, Group, error, well
from operations.doctor.system import System
from streams.engines.redis_connection import unavailable_on_failure
from streams.engines.redis_log import FIELD, stream_key
from streams.envelope import name_of
from streams.events import ClockTicked
from streams.partitions import milliseconds_of_position, position_of_entry_id

LOOKED_AT = 2000
"""Entries of one partition, the newest; ticks lie between them as often as CLOCK_TICK_SECONDS says."""
REMEDY = "start one: faststream run handlers:clock"


async def clock(system: System) -> Sequence[Finding]:
    seconds = system.settings.clock_tick_seconds
    late_after = 2 * seconds + LATE_SECONDS
    now_ms = await system.log.time_ms()
    ticked_ms = max([await _last_tick_ms(system, partition) for partition in range(system.settings.stream_partitions)])
    if ticked_ms == 0:
        return [
            error(Group.MISSING, "No clock runs: the log has no recent tick, so no conversation goes idle or expires.", REMEDY)
        ]
    age = max(0.0, (now_ms - ticked_ms) / 1000)
    if age > late_after:
        return [
            error(Group.MISSING, f"No clock runs: the last tick is {_ago(age)} old, and CLOCK_TICK_SECONDS {seconds:g}.", REMEDY)
        ]
    return [well(Group.REACHABLE, f"A clock runs: the last tick is {_ago(age)} old.")]


async def _last_tick_ms(system: System, partition: int) -> int:
    with unavailable_on_failure(system.redis):
        entries = await system.redis.xrevrange(stream_key(partition), count=LOOKED_AT)
    for entry_id, fields in entries:
        if name_of(fields.get(FIELD, b"")) == ClockTicked.name:
            return milliseconds_of_position(position_of_entry_id(entry_id.decode()))
    return 0


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
