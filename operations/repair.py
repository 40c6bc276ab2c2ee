"""
A log that lost its tail, made whole: a new generation of it from the archive and from what the old one still has.

Laws. Nothing that was acknowledged and still stands anywhere is lost, though webhooks append all the while. Nobody serves a
partition meanwhile: the repair holds every lease. A crash at any point leaves the old generation as it was, or a new one that is
whole; to repair again finishes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from redis.exceptions import RedisError

from operations.repair_findings import Standing, standing
from operations.repair_leases import every_lease
from operations.repair_system import System
from operations.repair_writing import Tell, Writing, write_partition
from projections.archive import move_to_epoch
from streams.crash_points import reached
from streams.engines.redis_connection import unavailable_on_failure
from streams.engines.redis_generations import Generations
from streams.engines.redis_keys import stream_key
from streams.engines.redis_rewrite import NewGeneration, entries_of, entry_at
from streams.errors import LeaseLost, ProsaError
from streams.partitions import START
from telemetry import log


@dataclass(frozen=True, slots=True)
class Repaired:
    """
    What a repair did. `written` counts the entries of the new generation, 0 where an earlier repair had written it already;
    `left_out` archived poison whose bytes stand nowhere any more.
    """

    epoch: int
    before: int
    written: int = 0
    left_out: int = 0


async def repair(system: System, tell: Tell) -> Repaired | None:
    """
    Bring log and read model together; None where they agree.

    Raises `ActRefused` while workers hold their leases, or where Redis has no room; `LogMismatch`, `ArchiveAltered`, and
    `LogUnavailable` or `ReadModelUnavailable` where a server goes away: then it is to be run again.
    """
    with unavailable_on_failure(system.redis):
        await Generations(system.redis, system.partitions).open()
        async with every_lease(system) as member:
            found = await standing(system)
            if not found.disagreements:
                return None
            reached("repair.claimed")
            if positions := await _already_written(system, found):
                return await _finish(system, found, Repaired(found.epoch, found.epoch), positions)
            return await _write_anew(system, found, member, tell)


async def _finish(system: System, found: Standing, repaired: Repaired, positions: Mapping[int, int]) -> Repaired:
    reached("repair.switched")
    await move_to_epoch(system.database, repaired.epoch, found.checkpoints.values(), positions)
    reached("repair.finished")
    return repaired


# ------------------------------------------------------------------------------------------------------- an earlier repair


async def _already_written(system: System, found: Standing) -> dict[int, int] | None:
    """Where the checkpoints stand in the log's generation, if that is newer than theirs and holds what they have consumed."""
    positions = {}
    for partition, checkpoint in found.checkpoints.items():
        if checkpoint.epoch >= found.epoch:
            return None
        position = await _found_again(system, stream_key(partition, found.epoch), checkpoint.position, checkpoint.digest)
        if position is None:
            return None
        positions[partition] = position
    return positions


async def _found_again(system: System, key: str, position: int, digest: bytes | None) -> int | None:
    """An entry is at its place or, where that was not free, somewhere after it."""
    if position == START:
        return START
    at_its_place = await entry_at(system.redis, key, position)
    if at_its_place and digest in (None, sha256(at_its_place.value).digest()):
        return position
    async for entry in entries_of(system.redis, key, position):
        if sha256(entry.value).digest() == digest:
            return entry.position
    return None


# ---------------------------------------------------------------------------------------------------------- the new generation


async def _write_anew(system: System, found: Standing, member: str, tell: Tell) -> Repaired:
    generation = NewGeneration(system.redis, system.partitions, before=found.epoch, epoch=found.newest_epoch + 1)
    await generation.clear()
    try:
        writings = [await write_partition(system, found, generation, partition, tell) for partition in range(system.partitions)]
        reached("repair.written")
        await _switch(found, generation, member, writings)
    except (ProsaError, RedisError, OSError):
        await generation.clear()
        raise
    repaired = Repaired(
        generation.epoch,
        found.epoch,
        sum(writing.written.entries for writing in writings),
        sum(writing.left_out for writing in writings),
    )
    positions = {partition: writings[partition].consumed for partition in found.checkpoints}
    return await _finish(system, found, repaired, positions)


async def _switch(found: Standing, generation: NewGeneration, member: str, writings: Sequence[Writing]) -> None:
    """Take along what webhooks appended meanwhile, and begin the new generation, in one step."""
    while True:
        reached("repair.switching")
        match await generation.switch(member, [writing.written for writing in writings]):
            case "switched":
                log.info("generation.begun", epoch=generation.epoch, before=found.epoch)
                return
            case "behind":
                for writing in writings:
                    await writing.catch_up()
            case "lease":
                raise LeaseLost("the repair was held up for longer than a lease; nothing is changed, run it again")
            case _:
                raise LeaseLost("another repair was faster; run it again")
