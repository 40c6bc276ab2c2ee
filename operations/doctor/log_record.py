"""What the log says of itself: how many partitions it was made with, and which generation it is."""

from collections.abc import Sequence
from contextlib import suppress

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from streams.engines.redis_connection import unavailable_on_failure
from streams.engines.redis_keys import META_KEY, stream_key
from streams.engines.redis_opening import newest_generation
from streams.errors import LogMismatch, LogUnavailable


async def log_epoch(system: System) -> Sequence[Finding]:
    """What looks into the log after this looks into its current generation. A wrong record is the finding of `log_record`."""
    with suppress(LogMismatch, LogUnavailable):
        await system.log.join()
    return []


async def log_record(system: System) -> Sequence[Finding]:
    wanted = system.settings.stream_partitions
    with unavailable_on_failure(system.redis):
        recorded, epoch = await system.redis.hmget(META_KEY, ["partitions", "epoch"])
        newest = await newest_generation(system.redis)
        is_begun = await system.redis.exists(*(stream_key(partition, newest) for partition in range(wanted)))
    if is_begun and newest > int(epoch or 0):
        return [_lost_record(epoch, newest)]
    if recorded is None:
        return [
            warning(Group.MISSING, "The log is not started yet: it is empty.", "start webhook, handlers and clock, or: prosa dev")
        ]
    if int(recorded) != wanted:
        return [
            error(
                Group.CONFIGURED,
                f"The log was made with {int(recorded)} partitions, and STREAM_PARTITIONS says {wanted}.",
                f"set STREAM_PARTITIONS={int(recorded)}, or REDIS_URL to another log",
            )
        ]
    return [well(Group.CONFIGURED, f"The log has {wanted} partitions, as STREAM_PARTITIONS says.")]


def _lost_record(epoch: bytes | None, newest: int) -> Finding:
    told = "is lost" if epoch is None else f"says generation {int(epoch)}"
    return error(
        Group.CONFIGURED,
        f"The log's record, {META_KEY}, {told}, and the streams are of generation {newest}.",
        "start webhook, handlers or clock, or start it again: it is made anew from the streams",
    )
