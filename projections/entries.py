"""The records of a batch as they were understood, each with the clock of its partition. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from projections.conversation import advance
from projections.state import PartitionState
from streams.envelope import decode
from streams.errors import UndecodableEvent
from streams.events import ClockAdvanced, ClockTicked, Event, MessageReceived, MessageSent, MessageStatusChanged, PolicyChanged
from streams.log import Record

LAST_LOG_TIME_MS = 253_402_300_799_999
"""The end of the year 9999; neither Python nor a person who queries the read model goes further."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it was understood; `event` is None where it was not, and `error` says why."""

    record: Record
    event: Event | None
    error: str = ""
    thread: str | None = None
    """The thread that this entry concerns, where it concerns just one."""
    sid: str | None = None
    """The Twilio sid that the event speaks of."""

    @property
    def moves_time(self) -> bool:
        """Whether this entry shows every silent thread of the partition how late it is; a new policy does, under the old one."""
        return self.event is not None and isinstance(self.event.data, ClockTicked | ClockAdvanced | PolicyChanged)


@dataclass(frozen=True, slots=True)
class Timed:
    """An entry, and its partition's clock and policy as they are from it on."""

    entry: Entry
    partition: PartitionState


def understand(record: Record) -> Entry:
    """Decode a record. Raises `NewerEvent` for what only a newer process may read."""
    try:
        event = decode(record.value)
    except UndecodableEvent as error:
        return unreadable(record, str(error))
    data = event.data
    sid = data.sid if isinstance(data, MessageReceived | MessageSent | MessageStatusChanged) else None
    thread = None if event.subject.startswith("partition/") else event.subject
    return Entry(record, event, thread=thread, sid=sid)


def unreadable(record: Record, error: str) -> Entry:
    """A record that is kept and passed over; Postgres has no NUL in its texts."""
    return Entry(record, None, error.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def timed(entries: Iterable[Entry], partition: PartitionState) -> list[Timed]:
    """Run a partition's clock over its entries. One that would stop the clock is passed over, like one that cannot be decoded."""
    found = []
    for entry in entries:
        entry, partition = _advanced(entry, partition)
        found.append(Timed(entry, partition))
    return found


def time_of_last_tick(entries: Sequence[Timed]) -> int | None:
    """The log time at the last entry that moves time: what is due by then must be loaded."""
    return next((each.partition.log_time_ms for each in reversed(entries) if each.entry.moves_time), None)


def _advanced(entry: Entry, partition: PartitionState) -> tuple[Entry, PartitionState]:
    record = entry.record
    try:
        after = advance(partition, entry.event, record.appended_at_ms)
    except Exception as error:  # noqa: BLE001 - whatever it was, the partition must go on
        entry, after = unreadable(record, type(error).__name__), advance(partition, None, record.appended_at_ms)
    if _steers(entry) and _furthest_deadline_ms(after) > LAST_LOG_TIME_MS:
        return unreadable(record, "log time out of range"), advance(partition, None, record.appended_at_ms)
    return entry, after


def _steers(entry: Entry) -> bool:
    return entry.event is not None and isinstance(entry.event.data, ClockAdvanced | PolicyChanged)


def _furthest_deadline_ms(partition: PartitionState) -> int:
    policy = partition.policy
    longest = max(policy.idle_after_ms, policy.expire_after_ms, policy.expire_pending_after_ms, policy.handoff_expires_after_ms)
    return partition.log_time_ms + longest
