"""Sends that did not simply succeed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter

from projections.database import Database, sql
from projections.state import Part, PartStatus

STARTED_LONG_AGO_SECONDS = 60.0
"""A call has ended long before; whoever made it is settling it, or is gone."""
REJECTED_LATELY_SECONDS = 24 * 3600.0

_OF_INTEREST = frozenset({PartStatus.UNCONFIRMED, PartStatus.REJECTED})
_PARTS = TypeAdapter(tuple[Part, ...])


@dataclass(frozen=True, slots=True)
class Send:
    """
    A part that did not simply go out; `part` counts from 1.

    `started_at` is when its last attempt was appended to the log, by the log's own clock, without any development offset: near
    that moment Twilio's console shows the message, if Twilio took it. `error` is why the sender gave it up, where it did.
    """

    reply: str
    part: int
    parts: int
    status: str
    thread: str
    attempt: str | None
    attempts: int
    started_at: datetime | None
    error: str | None
    text: str


async def unsettled(
    database: Database, *, rejected_within_seconds: float = REJECTED_LATELY_SECONDS, limit: int = 100
) -> list[Send]:
    """Parts that are unconfirmed, that were started long ago, or that were rejected lately. Raises `ReadModelUnavailable`."""
    async with database.transaction(readonly=True) as connection:
        rows = await connection.fetch(sql("unsettled_replies"), rejected_within_seconds, limit)
    before_ms = (time.time() - STARTED_LONG_AGO_SECONDS) * 1000
    found = []
    for row in rows:
        parts = _PARTS.validate_json(row["parts"])
        for index, part in enumerate(parts):
            last = part.attempts[-1] if part.attempts else None
            is_long_ago = last is not None and last.started_at_ms < before_ms
            if part.status in _OF_INTEREST or (part.status is PartStatus.STARTED and is_long_ago):
                found.append(_send(row["id"], row["thread"], row["error"], parts, index))
    return found


def _send(reply: str, thread: str, error: str | None, parts: Sequence[Part], index: int) -> Send:
    part = parts[index]
    last = part.attempts[-1] if part.attempts else None
    return Send(
        reply=reply,
        part=index + 1,
        parts=len(parts),
        status=part.status,
        thread=thread,
        attempt=last.id if last else None,
        attempts=len(part.attempts),
        started_at=datetime.fromtimestamp(last.started_at_ms / 1000, UTC) if last else None,
        error=error,
        text=part.text,
    )
