"""A batch of the log, folded onto what was loaded: pure, so that the live projector and a rebuild share it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from projections.conversation import advance, evolve
from projections.state import Change, Conversation, DeadLetter, Message, PartitionState, Reply, ThreadState
from streams.envelope import decode
from streams.errors import UndecodableEvent
from streams.events import ClockAdvanced, ClockTicked, Event, MessageReceived, MessageSent, MessageStatusChanged
from streams.log import Record

Key = tuple[type[Change], str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it was understood; `event` is None where it was not."""

    record: Record
    event: Event | None
    error: str | None = None

    @property
    def thread(self) -> str | None:
        """The thread that this entry concerns, where it concerns just one."""
        return self.event.subject if self.event and not self.event.subject.startswith("partition/") else None

    @property
    def sid(self) -> str | None:
        """The Twilio sid that the event speaks of."""
        data = self.event.data if self.event else None
        return data.sid if isinstance(data, MessageReceived | MessageSent | MessageStatusChanged) else None

    @property
    def moves_time(self) -> bool:
        """Whether this entry shows every silent thread of the partition how late it is."""
        return self.event is not None and isinstance(self.event.data, ClockTicked | ClockAdvanced)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Poison: an entry that could not be decoded (`thread` is empty), or not folded into one thread."""

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
    """A changed row, and the record that first changed it in this batch."""

    change: Change
    thread: ThreadState
    record: Record


@dataclass(slots=True)
class Fold:
    """The states that a batch starts from and, once folded, those that it ends with, and all that is to be written."""

    partitions: dict[int, PartitionState]
    chains: dict[int, bytes]
    threads: dict[str, ThreadState]
    partition_of_thread: dict[str, int]
    touched: set[str] = field(default_factory=set)
    rows: dict[Key, Row] = field(default_factory=dict)
    archived: list[Archived] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)


def understand(record: Record) -> Entry:
    """Decode a record. Raises `NewerEvent` for what only a newer process may read."""
    try:
        return Entry(record, decode(record.value))
    except UndecodableEvent as error:
        return Entry(record, None, str(error))


def time_of_last_tick(entries: Iterable[Entry], state: PartitionState) -> int | None:
    """The log time at the last entry of one partition's batch that moves time, to load what is due by then."""
    last = None
    for entry in entries:
        state = advance(state, entry.event, entry.record.appended_at_ms)
        last = state.log_time_ms if entry.moves_time else last
    return last


def with_known(state: ThreadState, messages: Mapping[str, Message]) -> ThreadState:
    """Give a thread the messages whose sids its batch speaks of."""
    return replace(state, known=MappingProxyType(dict(messages)), changes=())


def fold_batch(fold: Fold, entries: Sequence[Entry]) -> None:
    """Fold entries, in the order of each partition, into the given states."""
    for entry in entries:
        record = entry.record
        partition = advance(fold.partitions[record.partition], entry.event, record.appended_at_ms)
        fold.partitions[record.partition] = partition
        fold.positions[record.partition] = record.position
        _archive(fold, entry, partition)
        if entry.event is None:
            fold.skipped.append(Skipped(record, "", entry.error or ""))
        elif entry.thread is not None:
            _fold_into(fold, entry.thread, entry.event, record, partition)
        elif entry.moves_time:
            for thread in _due(fold, record.partition, partition.log_time_ms):
                _fold_into(fold, thread, entry.event, record, partition)


def _fold_into(fold: Fold, thread: str, event: Event, record: Record, partition: PartitionState) -> None:
    before = fold.threads.get(thread) or ThreadState(thread, event.owner)
    try:
        after = evolve(before, event, partition)
    except Exception as error:  # noqa: BLE001 - the one place where any failure of the fold is recorded as poison
        fold.skipped.append(Skipped(record, thread, type(error).__name__))
        return
    for change in after.changes:
        key = (type(change), _identity(change))
        first = fold.rows.get(key)
        fold.rows[key] = Row(change, after, first.record if first else record)
    fold.threads[thread] = replace(after, changes=())
    fold.partition_of_thread[thread] = record.partition
    fold.touched.add(thread)


def _due(fold: Fold, partition: int, log_time_ms: int) -> list[str]:
    return [
        thread
        for thread, state in fold.threads.items()
        if fold.partition_of_thread.get(thread) == partition
        and state.conversation is not None
        and state.conversation.next_deadline_at_ms is not None
        and state.conversation.next_deadline_at_ms <= log_time_ms
    ]


def _archive(fold: Fold, entry: Entry, partition: PartitionState) -> None:
    digest = hashlib.sha256(entry.record.value).digest()
    chain = hashlib.sha256(fold.chains[entry.record.partition] + digest).digest()
    fold.chains[entry.record.partition] = chain
    fold.archived.append(Archived(entry, partition.log_time_ms, digest, chain))


def _identity(change: Change) -> str:
    match change:
        case Conversation() | Reply():
            return change.id
        case Message():
            return change.sid
        case DeadLetter():
            return f"{change.group}:{change.event}"
