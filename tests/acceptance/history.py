"""What happened in a run: Twilio's ledger, the read model, and how far everybody has come."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.acceptance.running import PhoneCompany, Prosa

GROUPS = ("responder", "sender")
PARTITIONS = 8

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """A message of a contact, in the order of writing."""

    contact: str
    sid: str
    body: str


@dataclass(frozen=True)
class Accepted:
    """A message of ours that Twilio took, in the order of taking."""

    contact: str
    sid: str
    body: str
    attempt: str


@dataclass(frozen=True)
class History:
    """Everything that the checker looks at."""

    written: Sequence[Written]
    accepted: Sequence[Accepted]
    arrived: Sequence[str]
    """The sids that phones showed."""
    statuses: Mapping[str, str]
    """The last one of each sid, at Twilio."""
    messages: Sequence[Row] = ()
    replies: Sequence[Row] = ()
    dead_letters: Sequence[Row] = ()
    skipped_events: Sequence[Row] = ()
    generated: int = 0
    """How many replies a model made, accepted or not."""
    behind: Sequence[str] = field(default=())
    """Who has not read the log to its end."""


async def history_of(prosa: Prosa, twilio: PhoneCompany) -> History:
    """Look everywhere."""
    written, accepted, arrived, statuses = from_ledger(await twilio.ledger())
    async with prosa.database() as database:
        tables = {
            name: [dict(row) for row in await database.fetch(f"SELECT * FROM prosa.{name}")]  # noqa: S608 - names of ours
            for name in ("messages", "replies", "dead_letters", "skipped_events")
        }
        generated = await database.fetchval("SELECT count(*) FROM prosa.events WHERE type LIKE 'prosa.reply.generated.%'")
    return History(written, accepted, arrived, statuses, **tables, generated=generated, behind=await who_is_behind(prosa))


def from_ledger(entries: Sequence[Row]) -> tuple[list[Written], list[Accepted], list[str], dict[str, str]]:
    written, accepted, arrived, statuses = [], [], [], {}
    for entry in entries:
        details = entry["details"]
        match entry["kind"]:
            case "message_written":
                written.append(Written(details["address"], entry["sid"], details["message"]["body"]))
            case "message_accepted":
                message = details["message"]
                accepted.append(Accepted(message["recipient"], entry["sid"], message["body"], _attempt(message)))
            case "message_arrived":
                arrived.append(entry["sid"])
            case "status_changed":
                statuses[entry["sid"]] = details["status"]
    return written, accepted, arrived, statuses


def _attempt(message: Row) -> str:
    return parse_qs(urlsplit(message["status_callback"] or "").query).get("attempt", [""])[0]


async def who_is_behind(prosa: Prosa) -> list[str]:
    """The groups and the projection, where they have not come to the end of their partition. Nobody, once all is quiet."""
    behind = []
    async with prosa.database() as database, prosa.redis() as redis:
        checkpoints = {row["partition"]: row["position"] for row in await database.fetch("SELECT * FROM prosa.checkpoints")}
        for partition in range(PARTITIONS):
            stream = f"prosa:log:{partition}"
            [(head, _)] = await redis.xrevrange(stream, count=1)
            if checkpoints.get(partition) != _position(head):
                behind.append(f"projector: partition {partition} at {checkpoints.get(partition)} of {_position(head)}")
            groups = {group["name"]: group for group in await redis.xinfo_groups(stream)}
            for name in GROUPS:
                group = groups.get(name, {})
                if group.get("last-delivered-id") != head or group.get("lag") != 0:
                    behind.append(f"{name}: partition {partition} at {group.get('last-delivered-id')} of {head}")
    return behind


def _position(entry_id: str) -> int:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds) << 20 | int(sequence)


async def lease_holders(prosa: Prosa) -> dict[int, str]:
    """Which member holds each partition now; one whose lease has lapsed is missing."""
    async with prosa.redis() as redis:
        holders = await asyncio.gather(*(redis.get(f"prosa:lease:{partition}") for partition in range(PARTITIONS)))
    return {partition: holder for partition, holder in enumerate(holders) if holder}
