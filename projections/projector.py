"""The projector: folds the log into Postgres, state and checkpoint in one transaction."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import asyncpg

from projections import store
from projections.database import Connection, Database
from projections.folding import Entry, Fold, Skipped, fold_batch, time_of_last_tick, understand, with_known
from projections.progress import Progress
from projections.state import ThreadState
from projections.store import Checkpoint
from streams.errors import LogMismatch, NewerEvent, TransientError
from streams.log import Record
from telemetry import log

CACHED_THREADS = 20_000
"""Thread states kept between batches; a state takes some kilobytes."""

UNWRITABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
"""What Postgres can never store, such as a NUL in a text: poison, not an outage."""


class CheckpointMoved(TransientError):
    """Another projector was faster, or Postgres lost commits: what is cached may be wrong."""


class Projector:
    """
    The one writer of the read model for the partitions that this process owns.

    Redelivery changes nothing: what stands at or below a checkpoint is left out, and a checkpoint moves only from the value last
    seen. `declined` is told of a partition that holds an event of a newer version; `epoch` tells the log's, once it is open.
    """

    def __init__(
        self, database: Database, progress: Progress, *, epoch: Callable[[], int], declined: Callable[[int, NewerEvent], None]
    ) -> None:
        self._database = database
        self._progress = progress
        self._epoch = epoch
        self._declined = declined
        self._checkpoints: dict[int, Checkpoint] = {}
        self._cache: OrderedDict[str, ThreadState] = OrderedDict()

    async def positions(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Where to read on from: the checkpoints in Postgres. What was cached is forgotten."""
        wanted, epoch = list(partitions), self._epoch()
        async with self._database.transaction() as connection:
            await store.create_checkpoints(connection, wanted, epoch)
            checkpoints = await store.load_checkpoints(connection, wanted)
        for checkpoint in checkpoints.values():
            if checkpoint.epoch != epoch:
                raise LogMismatch(f"partition {checkpoint.partition}: checkpoint of epoch {checkpoint.epoch}, log {epoch}")
        self._cache.clear()
        self._checkpoints.update(checkpoints)
        positions = {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}
        self._progress.moved(positions)
        return positions

    async def project(self, records: Sequence[Record]) -> None:
        """Fold a batch and commit it. Raises `CheckpointMoved` where the positions must be asked for again."""
        new = [record for record in records if record.position > self._checkpoints[record.partition].position]
        entries = self._understood(new)
        if not entries:
            return
        try:
            await self._commit(entries)
        except UNWRITABLE as error:
            await self._commit_apart(entries, error)

    def _understood(self, records: Sequence[Record]) -> list[Entry]:
        entries: list[Entry] = []
        declined: set[int] = set()
        for record in records:
            if record.partition in declined:
                continue
            try:
                entries.append(understand(record))
            except NewerEvent as error:
                declined.add(record.partition)
                self._declined(record.partition, error)
        return entries

    async def _commit_apart(self, entries: Sequence[Entry], error: Exception) -> None:
        """One of these cannot be written: find it by halves, and record it as skipped."""
        self._cache.clear()
        if len(entries) == 1:
            await self._commit(entries, poison=type(error).__name__)
            return
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            try:
                await self._commit(half)
            except UNWRITABLE as cause:
                await self._commit_apart(half, cause)

    async def _commit(self, entries: Sequence[Entry], *, poison: str | None = None) -> None:
        seen = {entry.record.partition: self._checkpoints[entry.record.partition] for entry in entries}
        async with self._database.transaction() as connection:
            fold = await self._load(connection, entries, seen)
            if poison is None:
                fold_batch(fold, entries)
            else:
                _skip(fold, entries[0], poison)
            await store.write_fold(connection, fold)
            moved = {partition: _moved(fold, checkpoint) for partition, checkpoint in seen.items()}
            for partition, checkpoint in sorted(moved.items()):
                if not await store.move_checkpoint(connection, seen[partition], checkpoint):
                    self._cache.clear()
                    raise CheckpointMoved(f"partition {partition}")
        self._checkpoints.update(moved)
        self._remember(fold)
        self._progress.moved(fold.positions)
        for skipped in fold.skipped:
            log.error("event.skipped", partition=skipped.record.partition, position=skipped.record.position, error=skipped.error)

    async def _load(self, connection: Connection, entries: Sequence[Entry], seen: Mapping[int, Checkpoint]) -> Fold:
        partition_of_thread = {entry.thread: entry.record.partition for entry in entries if entry.thread}
        threads = {thread: self._cache[thread] for thread in partition_of_thread if thread in self._cache}
        missing = [thread for thread in partition_of_thread if thread not in threads]
        if missing:
            threads |= await store.load_threads(connection, missing)
        for partition, checkpoint in seen.items():
            of_partition = [entry for entry in entries if entry.record.partition == partition]
            tick = time_of_last_tick(of_partition, checkpoint.state)
            if tick is not None:
                due = await store.load_due_threads(connection, partition, tick)
                threads = {**due, **threads}
                partition_of_thread |= dict.fromkeys(due, partition)
        sids = {entry.sid for entry in entries if entry.sid}
        known = await store.load_messages(connection, sids) if sids else {}
        return Fold(
            partitions={partition: checkpoint.state for partition, checkpoint in seen.items()},
            chains={partition: checkpoint.chain for partition, checkpoint in seen.items()},
            threads={thread: with_known(state, known.get(thread, {})) for thread, state in threads.items()},
            partition_of_thread=partition_of_thread,
        )

    def _remember(self, fold: Fold) -> None:
        for thread in fold.touched:
            self._cache[thread] = with_known(fold.threads[thread], {})
            self._cache.move_to_end(thread)
        while len(self._cache) > CACHED_THREADS:
            self._cache.popitem(last=False)


def _moved(fold: Fold, seen: Checkpoint) -> Checkpoint:
    partition = seen.partition
    return Checkpoint(partition, seen.epoch, fold.positions[partition], fold.partitions[partition], fold.chains[partition])


def _skip(fold: Fold, entry: Entry, error: str) -> None:
    """Pass an entry over that cannot be written; the bytes are kept."""
    unreadable = Entry(entry.record, None, error)
    fold_batch(fold, [unreadable])
    fold.skipped[:] = [Skipped(entry.record, entry.thread or "", error)]
