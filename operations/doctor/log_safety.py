"""Whether the log's server keeps what it acknowledged: persistence, eviction, memory and disk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from operations.doctor.findings import Finding, Group, error, parted, warning, well
from operations.doctor.system import System
from streams.engines.redis_connection import unavailable_on_failure
from streams.engines.redis_safety import HIDDEN, REMEDIES, configuration_of

FULL, NEARLY_FULL = 0.9, 0.7
"""Shares of maxmemory; at the limit a server that does not evict refuses every append."""


async def log_safety(system: System) -> Sequence[Finding]:
    with unavailable_on_failure(system.redis):
        config = await configuration_of(system.redis)
        memory: dict[str, Any] = await system.redis.info("memory")
        persistence: dict[str, Any] = await system.redis.info("persistence")
    return [*_configured(system, config), *memory_findings(memory), *disk_findings(persistence)]


def _configured(system: System, config: Mapping[str, str]) -> Iterator[Finding]:
    unsafe = error if system.is_production else warning
    if not config and system.settings.redis_persistence_vouched:
        yield well(Group.SAFE, "The log's server hides its CONFIG, and REDIS_PERSISTENCE_VOUCHED stands in for it.")
    elif not config:
        yield unsafe(Group.SAFE, *parted(HIDDEN))
    problems = [(name, safe, told) for name, (safe, told) in REMEDIES.items() if config and config.get(name) != safe]
    for name, safe, told in problems:
        remedy = f"in redis.conf, or now: CONFIG SET {name} {safe}"
        yield unsafe(Group.SAFE, f"{name} of the log's server is {config.get(name)}: {told.partition(';')[0]}.", remedy)
    if config and not problems:
        yield well(Group.SAFE, "The log's server writes each append to disk before it answers, and never evicts.")


def memory_findings(info: Mapping[str, Any]) -> Iterator[Finding]:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        total = int(info.get("total_system_memory", 0))
        if total and used > NEARLY_FULL * total:
            yield warning(
                Group.SAFE, f"The log's server uses {used / total:.0%} of its machine's memory.", "give it a larger machine"
            )
        return
    share = used / limit
    if share > NEARLY_FULL:
        found = error if share > FULL else warning
        remedy = "raise maxmemory, or give it a larger machine; at the limit every append is refused"
        yield found(Group.SAFE, f"The log's server uses {share:.0%} of its maxmemory.", remedy)
    else:
        yield well(Group.SAFE, f"The log's server uses {share:.0%} of its maxmemory.")


def disk_findings(info: Mapping[str, Any]) -> Iterator[Finding]:
    for field, what in (("aof_last_write_status", "write to its append-only file"), ("aof_last_bgrewrite_status", "rewrite it")):
        if info.get(field, "ok") != "ok":
            yield error(
                Group.SAFE, f"The log's server failed to {what} the last time.", "look at its disk: free space, and its own log"
            )
