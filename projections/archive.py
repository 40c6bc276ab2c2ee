"""The archive of the log, read back: every entry's bytes as they came, over all generations."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import asyncpg

from projections import store
from projections.database import Connection, Database, sql
from projections.projector import CheckpointMoved
from projections.store import Checkpoint
from streams.errors import FatalError
from streams.partitions import START

AT_ONCE = 2000
"""Entries of one statement."""

LOCK_SECONDS = 10.0


class ArchiveAltered(FatalError):
    """An archived event is not what its digest says: somebody changed the table `events`."""


@dataclass(frozen=True, slots=True)
class ArchivedEntry:
    """An entry of the archive; `value` is None where it was poison and its bytes were deleted from `skipped_events`."""

    epoch: int
    position: int
    subject: str | None
    value: bytes | None
    digest: bytes
    chain: bytes

    @property
    def is_the_first_ever(self) -> bool:
        """Whether nothing was archived in its partition before it."""
        return self.chain == sha256(self.digest).digest()


async def archive(database: Database, partition: int, *, newest_epoch: int) -> AsyncIterator[ArchivedEntry]:
    """A partition's entries in the order of the log. Raises `ArchiveAltered` and `ReadModelUnavailable`."""
    for epoch in range(1, newest_epoch + 1):
        position = START
        while rows := await _rows(database, epoch, partition, position):
            for row in rows:
                position = row["position"]
                value = row["event"].encode() if row["event"] is not None else row["value"]
                if value is not None and sha256(value).digest() != row["digest"]:
                    raise ArchiveAltered(f"partition {partition}: the archived event at {epoch}/{position} has another digest")
                yield ArchivedEntry(epoch, position, row["subject"], value, row["digest"], row["chain"])


async def newest_epoch(connection: Connection) -> int:
    """The newest generation that the read model knows of; 0 where it knows none."""
    return await connection.fetchval(sql("newest_epoch")) or 0


async def move_to_epoch(database: Database, epoch: int, seen: Iterable[Checkpoint], positions: Mapping[int, int]) -> None:
    """
    Let every partition go on at these positions of another generation, all or none of them.

    Raises `CheckpointMoved` where a checkpoint is not what was seen, and `ReadModelUnavailable`.
    """
    expected = {checkpoint.partition: (checkpoint.epoch, checkpoint.position) for checkpoint in seen}
    async with database.transaction() as connection:
        locks = {"silence_seconds": LOCK_SECONDS, "statement_seconds": LOCK_SECONDS}
        found = await store.lock_checkpoints(connection, expected, **locks)
        for partition, place in expected.items():
            if found.get(partition) != place:
                raise CheckpointMoved(f"partition {partition}: a worker folds it still; stop it, and run this again")
        await connection.execute(sql("move_checkpoints_to_epoch"), epoch, [*expected], [positions[each] for each in expected])


async def _rows(database: Database, epoch: int, partition: int, after: int) -> list[asyncpg.Record]:
    async with database.transaction(readonly=True) as connection:
        return list(await connection.fetch(sql("archive"), epoch, partition, after, AT_ONCE))
