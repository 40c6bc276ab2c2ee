"""The projector: folds the log into Postgres, state and checkpoint in one transaction."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import metrics
from projections import store
from projections.agreement import Compare, disagreements_of
from projections.database import COMMAND_TIMEOUT_SECONDS, Connection, Database
from projections.entries import Entry, Timed, time_of_last_tick, timed, understand, unreadable
from projections.folding import Fold, fold_batch, fold_silence
from projections.postgres_errors import UNWRITABLE
from projections.progress import Progress
from projections.rows import rows_of
from projections.state import ThreadState
from projections.store import Checkpoint
from projections.story import Story
from streams.agreement import require_none
from streams.crash_points import reached
from streams.errors import NewerEvent, TransientError
from streams.log import Consumed, Record
from telemetry import log

CACHED_THREADS = 20_000
"""Thread states kept between batches; a state takes some kilobytes."""

SILENCE_SECONDS = 5.0
"""How long a transaction may pause between statements, for which it has some milliseconds of work."""

SILENCE_OF_OTHERS_SECONDS = 1.0
"""Whoever still holds a partition that is ours, and has been silent for so long, is paused or cut off."""

DUE_AT_ONCE = 1_000
"""Silent threads that a tick concerns are folded so many at a time."""


async def nothing_to_compare(_: Mapping[int, Consumed]) -> Mapping[int, str]:
    """For records that come from no log."""
    return {}


class CheckpointMoved(TransientError):
    """Another projector was faster, or Postgres lost commits: what is cached may be wrong."""


class Projector:
    """
    The one writer of the read model for the partitions that this process owns. One call at a time.

    Redelivery changes nothing: what stands at or below a checkpoint is left out, and a checkpoint moves only from the value last
    seen. `declined` is told of a partition that holds an event of a newer version; `epoch` tells the log's, once it is open.

    Before anything is folded `compare` makes sure that the log still holds the entry at the checkpoint: after a failover to a
    copy that lagged, what is read next may come after entries that are lost.
    """

    def __init__(
        self,
        database: Database,
        progress: Progress,
        *,
        epoch: Callable[[], int],
        declined: Callable[[int, NewerEvent], None],
        compare: Compare = nothing_to_compare,
    ) -> None:
        self._database = database
        self._progress = progress
        self._epoch = epoch
        self._decline = declined
        self._compare = compare
        self._declined: set[int] = set()
        self._checkpoints: dict[int, Checkpoint] = {}
        self._cache: OrderedDict[str, ThreadState] = OrderedDict()

    async def positions(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """
        Where to read on from: the checkpoints in Postgres. What was cached is forgotten.

        A predecessor that fell silent with them in its hands, paused or cut off, is ended: it shall hold nobody up. Raises
        `CheckpointAhead` where the log is shorter than that, or another.
        """
        wanted, epoch = list(partitions), self._epoch()
        async with self._database.transaction() as connection:
            ended = await store.end_silent_holders(connection, wanted, silence_seconds=SILENCE_OF_OTHERS_SECONDS)
            await store.create_checkpoints(connection, wanted, epoch)
            checkpoints = await store.load_checkpoints(connection, wanted)
        if ended:
            log.warning("projector.ended", sessions=ended)
        await self._require_agreement([*checkpoints.values()])
        self._cache.clear()
        self._declined.difference_update(wanted)
        self._checkpoints.update(checkpoints)
        positions = {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}
        self._progress.found(positions)
        return positions

    async def project(self, records: Sequence[Record]) -> None:
        """
        Fold a batch and commit it.

        Raises `CheckpointMoved` where the positions must be asked for again, and `CheckpointAhead` as `positions` does.
        """
        new = [record for record in records if record.position > self._checkpoints[record.partition].position]
        entries = self._understood(new)
        if entries:
            await self._require_agreement([self._checkpoints[n] for n in {entry.record.partition for entry in entries}])
            reached("projector.read")
            with metrics.PROJECTOR_BATCH_SECONDS.of().time():
                await self._commit_or_divide(entries)
            metrics.PROJECTOR_BATCH_EVENTS.of().observe(len(entries))

    async def _require_agreement(self, checkpoints: Collection[Checkpoint]) -> None:
        require_none(await disagreements_of(checkpoints, self._epoch(), self._compare))

    def _understood(self, records: Sequence[Record]) -> list[Entry]:
        """The entries up to the first, in each partition, that only a newer process may read."""
        entries: list[Entry] = []
        for record in records:
            if record.partition in self._declined:
                continue
            try:
                entries.append(understand(record))
            except NewerEvent as error:
                self._declined.add(record.partition)
                self._decline(record.partition, error)
        return entries

    async def _commit_or_divide(self, entries: Sequence[Entry]) -> None:
        """Where one of these cannot be written, find it by halves, and record it as skipped."""
        try:
            await self._commit(entries)
        except UNWRITABLE as error:
            if len(entries) == 1:
                await self._commit([unreadable(entries[0].record, type(error).__name__)])
                return
            middle = len(entries) // 2
            await self._commit_or_divide(entries[:middle])
            await self._commit_or_divide(entries[middle:])

    async def _commit(self, entries: Sequence[Entry]) -> None:
        seen = {entry.record.partition: self._checkpoints[entry.record.partition] for entry in entries}
        async with self._database.transaction() as connection:
            batch = _timed(entries, seen)
            fold = await self._load(connection, batch, seen)
            states, partitions = dict(fold.threads), dict(fold.partitions)
            for of_partition in batch.values():
                fold_batch(fold, of_partition)
            rows = rows_of(fold)
            digests = {archived.entry.record.partition: archived.digest for archived in fold.archived}
            moved = {partition: _moved(fold, checkpoint, digests[partition]) for partition, checkpoint in seen.items()}
            story = Story()
            story.note(states, partitions, fold)
            reached("projector.folded")
            await self._lock(connection, seen)
            await store.write_rows(connection, rows)
            woken = await self._fold_silence(connection, batch, fold.partition_of_thread, story)
            reached("projector.written")
            await store.move_checkpoints(connection, moved.values())
            reached("projector.moved")
        reached("projector.committed")
        self._checkpoints.update(moved)
        self._remember(fold)
        self._cache.update(woken)
        self._progress.moved(fold.positions)
        story.tell()

    async def _lock(self, connection: Connection, seen: Mapping[int, Checkpoint]) -> None:
        """Make sure that what was loaded is still so, and stays so. It is the last step before writing, to be held up briefly."""
        found = await store.lock_checkpoints(
            connection, seen, silence_seconds=SILENCE_SECONDS, statement_seconds=COMMAND_TIMEOUT_SECONDS
        )
        for partition, checkpoint in seen.items():
            if found.get(partition) != (checkpoint.epoch, checkpoint.position):
                raise CheckpointMoved(f"partition {partition}")

    async def _load(self, connection: Connection, batch: Mapping[int, Sequence[Timed]], seen: Mapping[int, Checkpoint]) -> Fold:
        """The states of the threads that the batch names."""
        entries = [each.entry for of_partition in batch.values() for each in of_partition]
        partition_of_thread = {entry.thread: entry.record.partition for entry in entries if entry.thread}
        threads = {thread: self._cache[thread] for thread in partition_of_thread if thread in self._cache}
        missing = [thread for thread in partition_of_thread if thread not in threads]
        if missing:
            threads |= await store.load_threads(connection, missing)
        sids = {entry.sid for entry in entries if entry.sid}
        return Fold(
            partitions={partition: checkpoint.state for partition, checkpoint in seen.items()},
            chains={partition: checkpoint.chain for partition, checkpoint in seen.items()},
            threads=threads,
            partition_of_thread=partition_of_thread,
            known=await store.load_messages(connection, sids) if sids else {},
        )

    async def _fold_silence(
        self, connection: Connection, batch: Mapping[int, Sequence[Timed]], named: Collection[str], story: Story
    ) -> Mapping[str, ThreadState]:
        """
        Show every other thread that is due by the batch's last tick how late it is, and write what that changes.

        After a long outage that may be most of them, so only some are in memory at once. Returns those that the cache holds too.
        """
        cached: dict[str, ThreadState] = {}
        for partition, of_partition in batch.items():
            tick = time_of_last_tick(of_partition)
            if tick is None:
                continue
            async for threads in store.due_threads(connection, partition, tick, apart_from=named, at_once=DUE_AT_ONCE):
                fold = Fold({}, {}, dict(threads), dict.fromkeys(threads, partition), {})
                fold_silence(fold, of_partition)
                story.note(threads, {}, fold)
                await store.write_rows(connection, rows_of(fold))
                cached |= {thread: fold.threads[thread] for thread in fold.touched if thread in self._cache}
        return cached

    def _remember(self, fold: Fold) -> None:
        for thread in fold.touched:
            self._cache[thread] = fold.threads[thread]
            self._cache.move_to_end(thread)
        while len(self._cache) > CACHED_THREADS:
            self._cache.popitem(last=False)


def _timed(entries: Sequence[Entry], seen: Mapping[int, Checkpoint]) -> dict[int, list[Timed]]:
    of_partition: dict[int, list[Entry]] = {partition: [] for partition in seen}
    for entry in entries:
        of_partition[entry.record.partition].append(entry)
    return {partition: timed(of_partition[partition], checkpoint.state) for partition, checkpoint in seen.items()}


def _moved(fold: Fold, seen: Checkpoint, digest: bytes) -> Checkpoint:
    partition = seen.partition
    position, state, chain = fold.positions[partition], fold.partitions[partition], fold.chains[partition]
    return replace(seen, position=position, state=state, chain=chain, digest=digest)
