"""Whether a clock runs: the last tick in the log itself, which tells also where nobody folds it."""

from collections.abc import Sequence

from handlers.ticker import LATE_SECONDS
from operations.doctor.findings import Finding, Group, error, well
from operations.doctor.system import System
from operations.durations import ago
from streams.engines.redis_connection import unavailable_on_failure
from streams.engines.redis_log import FIELD, stream_key
from streams.envelope import name_of
from streams.events import ClockTicked
from streams.partitions import milliseconds_of_position, position_of_entry_id

PAGE = 1000
"""Entries that are read at once, from the newest on."""
LOOKED_BACK = 8
"""Partitions in which an older tick is looked for, to tell its age: a clock ticks in all of them."""
REMEDY = "start one: faststream run handlers:clock"


async def clock(system: System) -> Sequence[Finding]:
    tick_seconds = system.settings.clock_tick_seconds
    now_ms = await system.log.time_ms()
    fresh_ms = now_ms - round((2 * tick_seconds + LATE_SECONDS) * 1000)
    for partition in range(system.settings.stream_partitions):
        if ticked_ms := await _last_tick_ms(system, partition, since_ms=fresh_ms):
            return [well(Group.REACHABLE, f"A clock runs: the last tick is {ago((now_ms - ticked_ms) / 1000)} old.")]
    looked_back = range(min(LOOKED_BACK, system.settings.stream_partitions))
    older_ms = max([await _last_tick_ms(system, partition, since_ms=0, most_pages=1) for partition in looked_back])
    if older_ms == 0:
        return [
            error(Group.MISSING, "No clock runs: the log has no recent tick, so no conversation goes idle or expires.", REMEDY)
        ]
    told = f"the last tick is {ago((now_ms - older_ms) / 1000)} old, and CLOCK_TICK_SECONDS is {tick_seconds:g}"
    return [error(Group.MISSING, f"No clock runs: {told}.", REMEDY)]


async def _last_tick_ms(system: System, partition: int, *, since_ms: int, most_pages: int | None = None) -> int:
    """When the partition's last tick since then was appended; 0 where there is none, or none in so many pages."""
    newest, pages = "+", 0
    while pages != most_pages:
        with unavailable_on_failure(system.redis):
            entries = await system.redis.xrevrange(stream_key(partition, system.log.epoch), newest, f"{since_ms}-0", count=PAGE)
        for entry_id, fields in entries:
            if name_of(fields.get(FIELD, b"")) == ClockTicked.name:
                return milliseconds_of_position(position_of_entry_id(entry_id.decode()))
        if len(entries) < PAGE:
            return 0
        newest, pages = f"({entries[-1][0].decode()}", pages + 1
    return 0
