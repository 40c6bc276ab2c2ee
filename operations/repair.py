"""
A log that lost its tail, made whole: a new generation of it from the archive and from what the old one still has.

Laws. Nothing that was acknowledged and still stands anywhere is lost, though webhooks append all the while. Nobody serves a
partition meanwhile: the repair holds every lease. A crash at any point leaves the old generation as it was, or a new one that is
whole; to repair again finishes it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

from redis.exceptions import RedisError

from operations.errors import ActRefused
from operations.repair_findings import Standing, System, digests, first_archived, standing
from operations.repair_leases import every_lease
from operations.rewrite import Rewrite
from projections.archive import ArchivedEntry, archive, move_to_epoch
from projections.changes import RESPONDER, SENDER
from projections.database import Database
from settings import Settings
from streams.crash_points import reached
from streams.engines.redis_connection import Client, connect, unavailable_on_failure
from streams.engines.redis_generations import Generations
from streams.engines.redis_keys import FIELD, stream_key
from streams.engines.redis_marks import RedisMarks
from streams.engines.redis_rewrite import Entry, NewGeneration, Written, batches, entries_of, entry_at
from streams.errors import LeaseLost, ProsaError
from streams.partitions import START
from telemetry import log

COMMAND_SECONDS = 10.0
BYTES_OF_AN_ENTRY = 1100
"""Memory that an entry takes in Redis: 7 KB for the seven events of an answered message, and a margin."""

Told = Callable[[int, int], None]
"""How far it is: the partition that is being written, and how many entries of it are."""


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


async def repair(system: System, tell: Told) -> Repaired | None:
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


async def _write_anew(system: System, found: Standing, member: str, tell: Told) -> Repaired:
    generation = NewGeneration(system.redis, system.partitions, before=found.epoch, epoch=found.newest_epoch + 1)
    await generation.clear()
    try:
        writings = [await _written(system, found, generation, partition, tell) for partition in range(system.partitions)]
        reached("repair.written")
        await _switch(system, found, generation, member, writings)
    except (ProsaError, RedisError, OSError):
        await generation.clear()
        raise
    repaired = Repaired(
        generation.epoch,
        found.epoch,
        sum(writing.rewrite.entries for writing in writings),
        sum(writing.left_out for writing in writings),
    )
    positions = {partition: writings[partition].consumed for partition in found.checkpoints}
    return await _finish(system, found, repaired, positions)


@dataclass(slots=True)
class _Writing:
    """A partition that was written: up to where the old stream was copied, and where the checkpoint stands in the new one."""

    rewrite: Rewrite
    copied: int = START
    consumed: int = START
    left_out: int = 0


async def _written(system: System, found: Standing, generation: NewGeneration, partition: int, tell: Told) -> _Writing:
    old = stream_key(partition, found.epoch)
    stood = await digests(system, found.epoch, partition)
    first = await first_archived(system, found, partition)
    marks = await RedisMarks(system.redis, Generations(system.redis, system.partitions), system.partitions, found.epoch).groups()
    finished = {group: mark.position for group, mark in marks[partition].items()}
    writing = _Writing(Rewrite(stood, {RESPONDER: START, SENDER: START, **finished}), copied=max(stood.values(), default=START))
    known: set[bytes] = set()
    if first != START:
        known = {entry.digest async for entry in archive(system.database, partition, newest_epoch=found.newest_epoch)}

    async def older() -> AsyncIterator[Entry]:
        async for entry in entries_of(system.redis, old):
            if entry.position >= first:
                return
            if (digest := sha256(entry.value).digest()) not in known:
                known.add(digest)
                yield Entry(writing.rewrite.place(entry.position, digest), entry.fields)

    async def archived() -> AsyncIterator[Entry]:
        async for entry in archive(system.database, partition, newest_epoch=found.newest_epoch):
            known.add(entry.digest)
            value = await _value(system, old, entry, stood)
            if value is None:
                writing.left_out += 1
            else:
                yield Entry(writing.rewrite.place(entry.position, entry.digest), {FIELD: value})

    async def survivors() -> AsyncIterator[Entry]:
        async for entry in entries_of(system.redis, old):
            if entry.position > writing.copied:
                return
            if (digest := sha256(entry.value).digest()) not in known:
                yield Entry(writing.rewrite.place(entry.position, digest), entry.fields)

    for source in (older, archived, survivors):
        await _write(generation, partition, source(), writing.rewrite, tell)
        if source is archived:
            writing.consumed = writing.rewrite.last
    await generation.set_marks(partition, writing.rewrite.marks)
    return writing


async def _write(generation: NewGeneration, partition: int, entries: AsyncIterator[Entry], rewrite: Rewrite, tell: Told) -> None:
    async for batch in batches(entries):
        await generation.write(partition, batch)
        reached("repair.writing")
        tell(partition, rewrite.entries)


async def _value(system: System, old: str, entry: ArchivedEntry, stood: Mapping[bytes, int]) -> bytes | None:
    """The bytes of an archived entry; those of poison may stand in the old stream alone."""
    if entry.value is not None or entry.digest not in stood:
        return entry.value
    standing_there = await entry_at(system.redis, old, stood[entry.digest])
    return standing_there.value if standing_there else None


async def _switch(system: System, found: Standing, generation: NewGeneration, member: str, writings: Sequence[_Writing]) -> None:
    """Take along what webhooks appended meanwhile, and begin the new generation, in one step."""
    while True:
        reached("repair.switching")
        written = [Written(each.copied, each.rewrite.last, each.rewrite.entries) for each in writings]
        match await generation.switch(member, written):
            case "switched":
                log.warning("the log has a new generation", epoch=generation.epoch, before=found.epoch)
                return
            case "behind":
                for partition, writing in enumerate(writings):
                    await _catch_up(system, found, generation, partition, writing)
            case "lease":
                raise LeaseLost("the repair was held up for longer than a lease; nothing is changed, run it again")
            case _:
                raise LeaseLost("another repair was faster; run it again")


async def _catch_up(system: System, found: Standing, generation: NewGeneration, partition: int, writing: _Writing) -> None:
    async def appended() -> AsyncIterator[Entry]:
        async for entry in entries_of(system.redis, stream_key(partition, found.epoch), writing.copied):
            writing.copied = entry.position
            yield Entry(writing.rewrite.place(entry.position, sha256(entry.value).digest()), entry.fields)

    async for batch in batches(appended()):
        await generation.write(partition, batch)


# ------------------------------------------------------------------------------------------------------------ the system


async def require_room(system: System, entries: int) -> None:
    """Raise `ActRefused` where Redis has no room for so many entries more: at its limit it would refuse every append."""
    with unavailable_on_failure(system.redis):
        info = await system.redis.info("memory")
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    needed = entries * BYTES_OF_AN_ENTRY
    if limit and used + needed > limit:
        left = f"{needed >> 20} MB are needed beside the old generation, {max(0, limit - used) >> 20} MB are left"
        raise ActRefused(f"Redis has no room: about {left}; raise maxmemory first")


@asynccontextmanager
async def repairable(settings: Settings) -> AsyncIterator[System]:
    """The log and the read model of these settings."""
    redis: Client = connect(settings.redis_url.get_secret_value(), connections=4, timeout_seconds=COMMAND_SECONDS)
    database = Database(settings.database_url.get_secret_value(), max_connections=2)
    try:
        yield System(redis, database, settings.stream_partitions, settings.lease_seconds)
    finally:
        await database.close()
        await redis.aclose()
