"""What a repair would do: how the log and the archive of the read model compare, partition by partition. It only looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from operations.repair_system import System
from projections.agreement import disagreements_of
from projections.archive import archive, newest_epoch
from projections.store import Checkpoint, load_checkpoints
from streams.engines import redis_agreement
from streams.engines.redis_keys import META_KEY, stream_key
from streams.engines.redis_opening import newest_generation
from streams.engines.redis_rewrite import entries_of
from streams.errors import LogMismatch
from streams.log import Consumed
from streams.partitions import START, partition_of_subject


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Where log and read model stand: `disagreements` says for each partition how the log is not what was folded.

    `epoch` is the log's; `newest_epoch` the newest that anybody knows of.
    """

    epoch: int
    newest_epoch: int
    checkpoints: Mapping[int, Checkpoint]
    disagreements: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """
    One partition: events in the archive, entries in the log, and how they differ.

    `lost` are in the archive alone, and come back; `survivors` in the log alone, and stay, after what the archive has.
    """

    partition: int
    archived: int
    entries: int
    lost: int
    survivors: int
    disagreement: str | None


async def standing(system: System) -> Standing:
    """Raises `LogMismatch` where the log has another number of partitions, and what client and database raise."""
    recorded = await system.redis.hget(META_KEY, "partitions")
    if recorded is not None and int(recorded) != system.partitions:
        raise LogMismatch(f"the log has {int(recorded)} partitions; STREAM_PARTITIONS says {system.partitions}")
    current = await newest_generation(system.redis)
    async with system.database.transaction(readonly=True) as connection:
        checkpoints = await load_checkpoints(connection, range(system.partitions))
        newest = max(current, await newest_epoch(connection))

    async def compare(consumed: Mapping[int, Consumed]) -> Mapping[int, str]:
        return await redis_agreement.disagreements_in(system.redis, current, consumed)

    return Standing(current, newest, checkpoints, await disagreements_of(checkpoints.values(), current, compare))


async def compare(system: System, found: Standing, partition: int) -> Compared:
    """Read all of a partition, in log and archive. Raises what `standing` raises, and `ArchiveAltered`."""
    stood = await digests(system, found.epoch, partition)
    first, archived = await _archived(system, found, partition)
    unknown = {digest: position for digest, position in stood.items() if digest not in archived}
    older = sum(position < first for position in unknown.values())
    return Compared(
        partition=partition,
        archived=len(archived),
        entries=len(stood),
        lost=len(archived - stood.keys()),
        survivors=len(unknown) - older,
        disagreement=found.disagreements.get(partition),
    )


async def digests(system: System, epoch: int, partition: int) -> dict[bytes, int]:
    """The position of every entry of the old stream, by the digest of its bytes; about 150 bytes of memory for each."""
    key = stream_key(partition, epoch)
    return {sha256(entry.value).digest(): entry.position async for entry in entries_of(system.redis, key)}


async def first_archived(system: System, found: Standing, partition: int) -> int:
    """
    Below this position of the old stream lies what was consumed and is not in the archive any more: somebody pruned it.

    It stays in front of what the archive has.
    """
    async for entry in archive(system.database, partition, newest_epoch=found.newest_epoch):
        return START if entry.is_the_first_ever else entry.position
    checkpoint = found.checkpoints.get(partition)
    return checkpoint.position + 1 if checkpoint and checkpoint.epoch == found.epoch else START


async def _archived(system: System, found: Standing, partition: int) -> tuple[int, set[bytes]]:
    first = await first_archived(system, found, partition)
    known = set[bytes]()
    async for entry in archive(system.database, partition, newest_epoch=found.newest_epoch):
        if entry.subject is not None and partition_of_subject(entry.subject, system.partitions) != partition:
            raise LogMismatch(f"the archive was made with another number of partitions than {system.partitions}")
        known.add(entry.digest)
    return first, known
