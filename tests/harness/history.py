"""What happened in a run: Twilio's ledger as the witness outside, the log, the read model, and how far everybody has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from projections.lateness import RECONCILER
from streams.engines.redis_keys import FIRST_EPOCH, META_KEY, stream_key
from streams.envelope import decode
from streams.errors import NewerEvent, UndecodableEvent
from streams.events import Event, SendCancelled, SendDisproved, SendRejected, SendStarted, SendUnconfirmed
from streams.events import MessageReceived as Received
from streams.events import MessageSent as Sent
from streams.log import Record
from streams.partitions import entry_id_of_position, position_of_entry_id
from tests.harness.phone_company import PhoneCompany
from tests.harness.programs import Ended

GROUPS = ("responder", "sender")
TABLES: Mapping[str, str] = {
    "checkpoints": "partition",
    "events": "epoch, partition, position",
    "threads": "thread",
    "conversations": "id",
    "messages": "epoch, position, id",
    "replies": "id",
    "dead_letters": "event_id, consumer_group",
    "skipped_events": "epoch, partition, position, thread",
}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A message of a contact, in the order of writing; whether any post of it was answered with a 2xx; in seconds since 1970."""

    contact: str
    sid: str
    body: str
    is_acked: bool = True
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message of ours that Twilio took, in the order of taking."""

    contact: str
    sid: str
    body: str
    attempt: str
    at: float = 0.0
    fault: str = ""
    """What Twilio did wrong as it took it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the log says of one attempt to send: for which part, and after how long its outcome stood there, if one does."""

    reply: str
    part: int
    seconds: float | None = None
    outcome: str = ""
    """The name of the event that told."""


@dataclass(frozen=True)
class History:
    """Everything that the checker looks at."""

    written: Sequence[Written]
    accepted: Sequence[Accepted]
    arrived: Sequence[str]
    """The sids that phones showed."""
    statuses: Mapping[str, str]
    """The last one of each sid, at Twilio."""
    logged: Mapping[str, str]
    """The inbound messages that stand in the log, in its order: sid, and what brought it first (`source` of the event)."""
    attempts: Mapping[str, Attempt]
    """What the log says of each attempt."""
    tables: Mapping[str, Sequence[Row]]
    records: Sequence[Record] = ()
    partitions: int = 0
    behind: Sequence[str] = ()
    """Who has not come to where the log ended when it was first looked at."""
    ends: Sequence[Ended] = field(default=())
    """Processes that ended without being asked."""

    @property
    def fetched(self) -> frozenset[str]:
        """The sids of inbound messages that the reconciler brought, before any webhook did."""
        return frozenset(sid for sid, source in self.logged.items() if source == RECONCILER)

    @property
    def messages(self) -> Sequence[Row]:
        return self.tables["messages"]

    @property
    def replies(self) -> Sequence[Row]:
        return self.tables["replies"]

    @property
    def dead_letters(self) -> Sequence[Row]:
        return self.tables["dead_letters"]

    @property
    def conversations(self) -> Sequence[Row]:
        return self.tables["conversations"]

    @property
    def skipped_events(self) -> Sequence[Row]:
        return self.tables["skipped_events"]


@dataclass(frozen=True)
class Sources:
    """Where to look; `redis` decodes nothing."""

    twilio: PhoneCompany
    database: Any
    redis: Any
    partitions: int

    async def streams(self) -> dict[int, str]:
        """The stream of each partition, in the log's present generation."""
        epoch = await self.epoch()
        return {partition: stream_key(partition, epoch) for partition in range(self.partitions)}

    async def epoch(self) -> int:
        return int(await self.redis.hget(META_KEY, "epoch") or FIRST_EPOCH)


async def history_of(sources: Sources, heads: Mapping[int, int] | None = None, ends: Sequence[Ended] = ()) -> History:
    """Look everywhere. Whoever has not read up to `heads` is behind; without them, up to where the log ends now."""
    heads = heads if heads is not None else await heads_of(sources)
    behind = await who_is_behind(sources, heads)
    tables = await _tables(sources.database)
    records = await _records(sources)
    written, accepted, arrived, statuses = from_ledger(await sources.twilio.ledger())
    events = [(record, event) for record in records if (event := _event_of(record))]
    return History(
        written,
        accepted,
        arrived,
        statuses,
        logged=_brought_by([event for _, event in events]),
        attempts=_attempts(events),
        tables=tables,
        records=records,
        partitions=sources.partitions,
        behind=behind,
        ends=tuple(ends),
    )


def from_ledger(entries: Sequence[Row]) -> tuple[list[Written], list[Accepted], list[str], dict[str, str]]:
    """Messages of contacts, messages of ours, what phones showed, and the last status of each."""
    acked = {
        entry["sid"]
        for entry in entries
        if entry["kind"] in ("webhook_answered", "webhook_failed") and 200 <= (entry["details"].get("status") or 0) < 300
    }
    written, accepted, arrived, statuses = [], [], [], {}
    for entry in entries:
        details, sid = entry["details"], entry["sid"]
        match entry["kind"]:
            case "message_written":
                written.append(Written(details["address"], sid, details["message"]["body"], sid in acked, entry["at"]))
            case "message_accepted":
                message = details["message"]
                fault = details.get("fault") or ""
                accepted.append(Accepted(message["recipient"], sid, message["body"], _attempt(message), entry["at"], fault))
            case "message_arrived":
                arrived.append(sid)
            case "status_changed":
                statuses[sid] = details["status"]
    return written, accepted, arrived, statuses


async def heads_of(sources: Sources) -> dict[int, int]:
    """The last position of each partition."""
    heads = {}
    for partition, stream in (await sources.streams()).items():
        last = await sources.redis.xrevrange(stream, count=1)
        heads[partition] = position_of_entry_id(last[0][0].decode()) if last else 0
    return heads


async def who_is_behind(sources: Sources, heads: Mapping[int, int]) -> list[str]:
    """The groups and the projection, where they have not come so far."""
    behind = []
    streams = await sources.streams()
    rows = await sources.database.fetch("SELECT partition, position FROM prosa.checkpoints")
    checkpoints = {row["partition"]: row["position"] for row in rows}
    for partition, head in heads.items():
        if checkpoints.get(partition, 0) < head:
            behind.append(f"projector: partition {partition} at {checkpoints.get(partition)} of {head}")
        groups = {group["name"]: group for group in await sources.redis.xinfo_groups(streams[partition])} if head else {}
        for name in GROUPS if head else ():
            mark = groups.get(name.encode(), {}).get("last-delivered-id", b"0-0").decode()
            if position_of_entry_id(mark) < head:
                behind.append(f"{name}: partition {partition} at {mark} of {entry_id_of_position(head)}")
    return behind


async def acked_in(sources: Sources) -> list[str]:
    """The sids of the messages that were acknowledged so far."""
    return [each.sid for each in from_ledger(await sources.twilio.ledger())[0] if each.is_acked]


async def is_quiet(sources: Sources, acked: Sequence[str]) -> bool:
    """The read model knows all of these messages, and nothing in it waits for an answer or for a send."""
    [row] = await sources.database.fetch(
        "SELECT (SELECT count(*) FROM prosa.replies WHERE status = 'accepted') "
        "+ (SELECT count(*) FROM prosa.threads WHERE awaits_answer_since_ms IS NOT NULL) AS open, "
        "(SELECT count(DISTINCT sid) FROM prosa.messages WHERE sid = ANY ($1::text[])) AS known",
        acked,
    )
    return bool(row["open"] == 0 and row["known"] == len(acked))


def _attempt(message: Row) -> str:
    return parse_qs(urlsplit(message["status_callback"] or "").query).get("attempt", [""])[0]


async def _tables(database: Any) -> dict[str, list[Row]]:
    """All of one moment, so that checkpoints and rows belong together."""
    async with database.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        return {
            table: [dict(row) for row in await connection.fetch(f"SELECT * FROM prosa.{table} ORDER BY {order}")]  # noqa: S608
            for table, order in TABLES.items()
        }


async def _records(sources: Sources) -> list[Record]:
    records = []
    epoch = await sources.epoch()
    for partition, stream in (await sources.streams()).items():
        for entry_id, fields in await sources.redis.xrange(stream):
            position = position_of_entry_id(entry_id.decode())
            records.append(Record(epoch, partition, position, position >> 20, fields[b"event"]))
    return records


def _event_of(record: Record) -> Event | None:
    try:
        return decode(record.value)
    except (UndecodableEvent, NewerEvent):
        return None


def _brought_by(events: Sequence[Event]) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        if isinstance(event.data, Received):
            found.setdefault(event.data.sid, event.source)
    return found


def _attempts(events: Sequence[tuple[Record, Event]]) -> dict[str, Attempt]:
    started: dict[str, tuple[int, SendStarted]] = {}
    attempts: dict[str, Attempt] = {}
    for record, event in events:
        match event.data:
            case SendStarted() as data:
                started.setdefault(data.attempt, (record.appended_at_ms, data))
                attempts.setdefault(data.attempt, Attempt(data.reply, data.part))
            case Sent() | SendRejected() | SendDisproved() | SendUnconfirmed() | SendCancelled() as data:
                if data.attempt in started and attempts[data.attempt].seconds is None:
                    at_ms, begun = started[data.attempt]
                    seconds = (record.appended_at_ms - at_ms) / 1000
                    attempts[data.attempt] = Attempt(begun.reply, begun.part, seconds, event.data.name)
    return attempts
