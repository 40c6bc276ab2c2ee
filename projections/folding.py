"""A batch of the log, folded onto what was loaded: pure, so that the live projector and a rebuild share it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from projections.conversation import evolve
from projections.deadline_queue import DeadlineQueue
from projections.entries import Entry, Timed
from projections.state import Change, Conversation, DeadLetter, Message, PartitionState, Reply, ThreadState
from streams.events import Event
from streams.log import Record

Key = tuple[type[Change], str]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Poison: an entry that could not be read or written at all (`thread` is empty), or not folded into one thread."""

    record: Record
    thread: str
    error: str


@dataclass(frozen=True, slots=True)
class Archived:
    """An entry with the log time that it had, and the hash that chains it to the one before."""

    entry: Entry
    log_time_ms: int
    digest: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """A changed row; the record is the one that first changed it in this batch."""

    change: Change
    thread: str
    owner: str
    record: Record


@dataclass(slots=True)
class Fold:
    """
    The states that a batch starts from and, once folded, those that it ends with, and all that is to be written.

    `known` holds the messages whose sids occur in the batch, whichever thread they belong to: a sid is Twilio's and unique.
    """

    partitions: dict[int, PartitionState]
    chains: dict[int, bytes]
    threads: dict[str, ThreadState]
    partition_of_thread: dict[str, int]
    known: dict[str, Message]
    touched: set[str] = field(default_factory=set)
    rows: dict[Key, Row] = field(default_factory=dict)
    archived: list[Archived] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
    _queues: dict[int, DeadlineQueue] | None = None

    def queue(self, partition: int) -> DeadlineQueue:
        """The deadlines of a partition's threads, gathered when the first tick asks."""
        if self._queues is None:
            self._queues = {}
            for thread, state in self.threads.items():
                self._queues.setdefault(self.partition_of_thread[thread], DeadlineQueue()).put(thread, deadline_ms(state))
        return self._queues.setdefault(partition, DeadlineQueue())

    def put(self, thread: str, state: ThreadState, partition: int) -> None:
        """Note a thread's new state."""
        self.threads[thread] = state
        self.partition_of_thread[thread] = partition
        self.touched.add(thread)
        if self._queues is not None:
            self.queue(partition).put(thread, deadline_ms(state))


def deadline_ms(state: ThreadState) -> int | None:
    """When silence next changes this thread, as the fold last noted it; never, where it cannot be folded into it."""
    return state.conversation.next_deadline_at_ms if state.conversation and not state.fails_at_ticks else None


def fold_batch(fold: Fold, entries: Iterable[Timed]) -> None:
    """Fold entries, in the order of each partition, into the given states."""
    for each in entries:
        entry, record = each.entry, each.entry.record
        fold.partitions[record.partition] = each.partition
        fold.positions[record.partition] = record.position
        _archive(fold, each)
        if entry.event is None:
            fold.skipped.append(Skipped(record, "", entry.error))
        elif entry.thread is not None:
            _fold_into(fold, entry.thread, entry, entry.event, each.partition)
        elif entry.moves_time:
            _fold_into_due(fold, entry, entry.event, each.partition)


def fold_silence(fold: Fold, entries: Iterable[Timed]) -> None:
    """Show threads that no entry speaks of how late it is; the other entries are nothing to them."""
    for each in entries:
        if each.entry.moves_time and each.entry.event is not None:
            _fold_into_due(fold, each.entry, each.entry.event, each.partition)


def _fold_into_due(fold: Fold, entry: Entry, event: Event, partition: PartitionState) -> None:
    queue = fold.queue(entry.record.partition)
    for thread in queue.take(partition.log_time_ms):
        deadline = deadline_ms(fold.threads[thread])
        if deadline is not None and deadline <= partition.log_time_ms and not _fold_into(fold, thread, entry, event, partition):
            fold.put(thread, replace(fold.threads[thread], fails_at_ticks=True), entry.record.partition)


def _fold_into(fold: Fold, thread: str, entry: Entry, event: Event, partition: PartitionState) -> bool:
    """Fold one event into one thread; what fails there is recorded, and harms no other thread."""
    before = fold.threads.get(thread) or ThreadState(thread, event.owner)
    known = {entry.sid: fold.known[entry.sid]} if entry.sid and entry.sid in fold.known else {}
    try:
        after = evolve(replace(before, fails_at_ticks=False, known=MappingProxyType(known), changes=()), event, partition)
    except Exception as error:  # noqa: BLE001 - the one place where any failure of the fold is recorded as poison
        fold.skipped.append(Skipped(entry.record, thread, type(error).__name__))
        return False
    for change in after.changes:
        _note(fold, change, after, entry.record)
    fold.put(thread, after, entry.record.partition)
    return True


def _note(fold: Fold, change: Change, state: ThreadState, record: Record) -> None:
    key = (type(change), _identity(change))
    first = fold.rows.get(key)
    row = Row(change, state.thread, state.owner, record)
    fold.rows[key] = replace(row, record=first.record) if first and _goes_on(first, row) else row
    if isinstance(change, Message):
        fold.known[change.sid] = change


def _goes_on(first: Row, row: Row) -> bool:
    """A message that turns out to be another one, of which a callback had told wrongly, begins anew."""
    before, after = first.change, row.change
    if isinstance(before, Message) and isinstance(after, Message):
        return (before.thread, before.direction) == (after.thread, after.direction)
    return True


def _archive(fold: Fold, each: Timed) -> None:
    record = each.entry.record
    digest = hashlib.sha256(record.value).digest()
    chain = hashlib.sha256(fold.chains[record.partition] + digest).digest()
    fold.chains[record.partition] = chain
    fold.archived.append(Archived(each.entry, each.partition.log_time_ms, digest, chain))


def _identity(change: Change) -> str:
    match change:
        case Conversation() | Reply():
            return change.id
        case Message():
            return change.sid
        case DeadLetter():
            return f"{change.group}:{change.event}"
