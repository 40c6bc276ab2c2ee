"""A log that a test writes by hand, a projector for it, and what must stand in Postgres afterwards."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from projections.conversation import advance, evolve
from projections.database import Connection, Database
from projections.progress import Progress
from projections.projector import Projector
from projections.rows import dump_thread
from projections.state import Change, Conversation, DeadLetter, Message, PartitionState, Reply, ThreadState
from streams.envelope import decode, encode
from streams.errors import NewerEvent, UndecodableEvent
from streams.events import (
    AnyEventData,
    ClockAdvanced,
    ClockTicked,
    Event,
    MessageReceived,
    MessageSent,
    MessageStatusChanged,
    PolicyChanged,
    SendStarted,
)
from streams.log import Record
from streams.partitions import partition_of, partition_subject

EPOCH = 1
PARTITIONS = 4
STARTED_AT_MS = 1_760_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

Row = dict[str, Any]


def thread_in(partition: int, number: int = 0) -> str:
    """The `number`th thread, of those with ascending contacts, that lives in a partition."""
    found = (name for each in range(10_000) if partition_of(name := f"whatsapp:+100|whatsapp:+{each}", PARTITIONS) == partition)
    return next(name for index, name in enumerate(found) if index == number)


@dataclass
class Log:
    """Records as an engine would read them; the time stands still until `wait` moves it."""

    now_ms: int = STARTED_AT_MS
    records: list[Record] = field(default_factory=list)

    def wait(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    def add(self, data: AnyEventData, thread: str, *, event_id: str | None = None, owner: str = "default") -> str:
        """Append an event to its thread, and tell its id."""
        return self._append(data, thread, partition_of(thread, PARTITIONS), event_id, owner)

    def add_to_partition(self, data: AnyEventData, partition: int, *, event_id: str | None = None) -> str:
        return self._append(data, partition_subject(partition), partition, event_id, "default")

    def tick(self, partition: int) -> str:
        return self.add_to_partition(ClockTicked(nominal=datetime.fromtimestamp(self.now_ms / 1000, UTC)), partition)

    def receive(self, thread: str, sid: str, body: str = "Olá") -> str:
        return self.add(MessageReceived(sid=sid, kind="text", body=body, form={"Body": (body,)}), thread)

    def start_send(self, thread: str, reply: str, attempt: str) -> str:
        return self.add(SendStarted(reply=reply, part=0, attempt=attempt), thread)

    def send(self, thread: str, reply: str, attempt: str, sid: str) -> str:
        return self.add(MessageSent(reply=reply, part=0, attempt=attempt, sid=sid), thread)

    def status(self, thread: str, sid: str, status: str, attempt: str | None = None) -> str:
        return self.add(MessageStatusChanged(sid=sid, status=status, attempt=attempt), thread)

    def add_bytes(self, value: bytes, partition: int) -> Record:
        position = sum(record.partition == partition for record in self.records) + 1
        self.records.append(Record(EPOCH, partition, position, self.now_ms, value))
        return self.records[-1]

    def _append(self, data: AnyEventData, subject: str, partition: int, event_id: str | None, owner: str) -> str:
        identifier = event_id or f"event-{len(self.records):06}"
        written_at = datetime(2031, 1, 1, tzinfo=UTC)
        event = Event(
            id=identifier,
            source="test",
            subject=subject,
            time=written_at,
            correlation_id=identifier,
            owner=owner,
            data=data,
        )
        self.add_bytes(encode(event), partition)
        return identifier


class Projecting:
    """A projector, driven as the log's reader drives it."""

    def __init__(self, database: Database, *, epoch: int = EPOCH) -> None:
        self.database = database
        self.declined: list[tuple[int, NewerEvent]] = []
        self.progress = Progress(database)
        self.projector = Projector(
            database,
            self.progress,
            epoch=lambda: epoch,
            declined=lambda partition, error: self.declined.append((partition, error)),
        )

    async def catch_up(self, records: Sequence[Record], *, batch: int = 1000) -> None:
        """Ask for the positions and project what lies after them."""
        positions = await self.projector.positions(range(PARTITIONS))
        missing = [record for record in records if record.position > positions[record.partition]]
        for begin in range(0, len(missing), batch):
            await self.projector.project(missing[begin : begin + batch])


_TABLES: Mapping[str, str] = {
    "checkpoints": "partition",
    "events": "epoch, partition, position",
    "threads": "thread",
    "conversations": "id",
    "messages": "id",
    "replies": "id",
    "dead_letters": "event_id, consumer_group",
    "skipped_events": "epoch, partition, position, thread",
}
_WALL_CLOCK = {"updated_at", "skipped_at"}


async def rows_of(connection: Connection, table: str) -> list[Row]:
    rows = await connection.fetch(f"SELECT * FROM {table} ORDER BY {_TABLES[table]}")  # noqa: S608 - our own names
    return [{name: value for name, value in row.items() if name not in _WALL_CLOCK} for row in rows]


async def dump(database: Database) -> dict[str, list[Row]]:
    """Every row of the read model, without what a wall clock wrote."""
    async with database.transaction(readonly=True) as connection:
        return {table: await rows_of(connection, table) for table in _TABLES}


async def empty(database: Database) -> None:
    async with database.transaction() as connection:
        for table in _TABLES:
            await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names


async def positions_in(database: Database) -> dict[int, int]:
    async with database.transaction(readonly=True) as connection:
        return {row["partition"]: row["position"] for row in await rows_of(connection, "checkpoints")}


@dataclass
class Expected:
    """
    What the log means, by the simplest way to say it: one event at a time, and each that moves time shown to every thread.

    It shares nothing with the projector but the fold of one event.
    """

    partitions: dict[int, PartitionState] = field(default_factory=dict)
    threads: dict[str, ThreadState] = field(default_factory=dict)
    changes: dict[tuple[str, str], Change] = field(default_factory=dict)
    known: dict[str, Message] = field(default_factory=dict)
    partition_count: int = PARTITIONS

    def fold(self, records: Iterable[Record]) -> "Expected":
        for record in records:
            self._fold(record)
        return self

    def _fold(self, record: Record) -> None:
        event = _event_of(record)
        partition = advance(self.partitions.get(record.partition, PartitionState()), event, record.appended_at_ms)
        self.partitions[record.partition] = partition
        if event is None:
            return
        for thread in self._concerned(record, event):
            before = self.threads.get(thread, ThreadState(thread, event.owner))
            self._note(evolve(replace(before, known=MappingProxyType(self.known), changes=()), event, partition))

    def _concerned(self, record: Record, event: Event) -> list[str]:
        if isinstance(event.data, ClockTicked | ClockAdvanced | PolicyChanged):
            return [thread for thread in self.threads if partition_of(thread, self.partition_count) == record.partition]
        return [] if event.subject.startswith("partition/") else [event.subject]

    def _note(self, state: ThreadState) -> None:
        self.threads[state.thread] = replace(state, known=MappingProxyType({}), changes=())
        for change in state.changes:
            self.changes[type(change).__name__, _identity(change)] = change
            if isinstance(change, Message):
                self.known[change.sid] = change


def _event_of(record: Record) -> Event | None:
    try:
        return decode(record.value)
    except UndecodableEvent:
        return None


def _identity(change: Change) -> str:
    match change:
        case Message():
            return change.sid
        case DeadLetter():
            return f"{change.group}:{change.event}"
        case Conversation() | Reply():
            return change.id


_KINDS: Mapping[str, type[Change]] = {
    "conversations": Conversation,
    "messages": Message,
    "replies": Reply,
    "dead_letters": DeadLetter,
}
_COMPARED: Mapping[str, Sequence[str]] = {
    "conversations": ("id", "status", "thread", "owner", "closed_by", "taken_by", "previous_conversation_id"),
    "messages": ("sid", "status", "direction", "body", "conversation_id", "reply_id", "part", "attempt", "error_code"),
    "replies": ("id", "status", "conversation_id", "kind", "closes", "hands_off"),
    "dead_letters": ("error", "status", "conversation_id", "fingerprint", "attempts"),
}


def differences(expected: Expected, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Where the rows say something else than the log, in words that begin with the table's name."""
    states = {row["thread"]: json.loads(row["state"]) for row in found["threads"]}
    wanted_states = {thread: json.loads(dump_thread(state)) for thread, state in expected.threads.items()}
    told = [
        f"threads: {states.get(thread)} instead of {wanted_states.get(thread)}"
        for thread in sorted(states.keys() | wanted_states.keys())
        if states.get(thread) != wanted_states.get(thread)
    ]
    for table, kind in _KINDS.items():
        columns = _COMPARED[table]
        changes = [change for change in expected.changes.values() if isinstance(change, kind)]
        wanted = Counter(tuple(getattr(change, name) for name in columns) for change in changes)
        rows = Counter(tuple(row[name] for name in columns) for row in found[table])
        told += [f"{table}: {row} is too much" for row in (rows - wanted).elements()]
        told += [f"{table}: {row} is missing" for row in (wanted - rows).elements()]
    return told


async def assert_means(database: Database, records: Sequence[Record]) -> None:
    """The read model says what the log says, no more and no less, and its chain of hashes holds."""
    expected = Expected().fold(records)
    found = await dump(database)
    assert differences(expected, found) == []
    heads = {record.partition: record.position for record in records}
    assert {row["partition"]: row["position"] for row in found["checkpoints"] if row["position"]} == heads
    assert_chained(found["events"], records)


def assert_chained(events: Sequence[Row], records: Sequence[Record]) -> None:
    """The archive holds every record, each chained by hash to the one before in its partition."""
    archived = {(row["partition"], row["position"]): (row["digest"], row["chain"]) for row in events}
    assert set(archived) == {(record.partition, record.position) for record in records}
    chains = dict.fromkeys(range(PARTITIONS), b"")
    for record in records:
        digest = sha256(record.value).digest()
        chains[record.partition] = sha256(chains[record.partition] + digest).digest()
        assert archived[record.partition, record.position] == (digest, chains[record.partition])
