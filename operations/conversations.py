"""Conversations as a person sees them: all of them as a list, or one with everything that was said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from operations.connection import Connection
from operations.errors import ActRefused
from operations.refold import Step
from operations.timeline import STEPS, timeline
from projections.database import Connection as DatabaseConnection
from projections.database import sql
from projections.lateness import RECONCILER, late_ms
from projections.state import Part, PartStatus, ReplyKind, ReplyStatus, Status
from streams.envelope import decode
from streams.events import ClockAdvanced

NAMED = 6
"""How many conversations that a name may mean are told; so many and more mean that it is too short."""

LATE = timedelta(seconds=5)
"""Twilio dates what was written to the second, and a webhook may take a few itself."""

_PARTS = TypeAdapter(tuple[Part, ...])
_AUTHORS = {ReplyKind.ANSWER: "AI", ReplyKind.FAILURE_SENTENCE: "failure sentence"}


@dataclass(frozen=True, slots=True)
class Listed:
    """
    A conversation as its row stands. Times are log time; `log_time` is the log's clock by now.

    `unanswered` counts what waits for an answer, `unanswered_since` is the oldest of it; behind an open one of its `dead_letters`
    somebody may wait as well. `closer` is the person who closed it, where `closed_by` says that it was one.
    """

    id: str
    owner: str
    thread: str
    status: Status
    closed_by: str | None
    closer: str | None
    taken_by: str | None
    opened_at: datetime
    last_activity_at: datetime
    next_deadline_at: datetime | None
    ended_at: datetime | None
    previous_conversation_id: str | None
    unanswered: int
    unanswered_since: datetime | None
    dead_letters: int
    log_time: datetime

    @property
    def contact(self) -> str:
        return self.thread.rpartition("|")[2]


@dataclass(frozen=True, slots=True)
class Said:
    """
    A message, or a part of a reply that did not become one; then it has no `sid`, and `status` says what became of it.

    `author` is `contact`, `AI`, `failure sentence`, or the person who wrote it; empty where only a callback told of it. `at` is
    when the log heard of it; `written_at` is told where the reconciler fetched it and the contact wrote it `LATE` before or more.
    """

    at: datetime
    author: str
    text: str
    status: str
    error_code: int | None = None
    sid: str | None = None
    reply: str | None = None
    part: int | None = None
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation with what was said, and its last steps, where it is the newest one of its thread."""

    conversation: Listed
    window_closes_at: datetime | None
    said: tuple[Said, ...]
    steps: tuple[Step, ...]


async def listed(
    connection: Connection,
    *,
    statuses: Collection[Status] | None = None,
    owner: str | None = None,
    limit: int = 20,
    offset: int = 0,
) -> Sequence[Listed]:
    """The conversations with the latest activity, newest first. Needs no log. Raises `ReadModelUnavailable`."""
    async with connection.database.transaction(readonly=True) as reading:
        return await _listed(reading, statuses=statuses, owner=owner, limit=limit, offset=offset)


async def named(connection: Connection, name: str) -> Listed:
    """
    The conversation that a person means: by its id or the beginning of it, by its thread, or by the contact's address.

    A contact's or a thread's name means the newest conversation there. Raises `ActRefused`, which lists the candidates, also for
    an empty name, and `ReadModelUnavailable`.
    """
    if not name.strip():
        raise ActRefused("no conversation is named: give its id, the beginning of it, or the contact's address")
    async with connection.database.transaction(readonly=True) as reading:
        ids = [row["id"] for row in await reading.fetch(sql("conversations_named"), name, NAMED)]
        if name in ids:
            ids = [name]
        found = await _listed(reading, ids=ids, limit=NAMED) if ids else ()
    if not found:
        raise ActRefused(f"no conversation is named so: {name}\nGive its id, the beginning of it, or the contact's address")
    if len(found) > 1:
        candidates = "\n".join(f"  {each.id}  {each.status:<7}  {each.contact}" for each in found)
        raise ActRefused(f"{name} may mean more than one conversation:\n{candidates}")
    return found[0]


async def shown(connection: Connection, conversation: Listed, *, limit: int = 50, steps: int = 20) -> Shown:
    """The newest messages and steps of a conversation, oldest first. Needs no log. Raises `ReadModelUnavailable`."""
    messages = await messages_of(connection, conversation.id, limit=limit)
    async with connection.database.transaction(readonly=True) as reading:
        replies = await reading.fetch(sql("conversation_replies"), conversation.id, limit)
    said = [*messages, *(unsaid for row in replies for unsaid in _unsaid(row))]
    story = await timeline(connection, conversation.thread, limit=STEPS)
    is_newest = story.conversation is not None and story.conversation.id == conversation.id
    return Shown(
        conversation,
        _moment(story.window_closes_at_ms or None),
        tuple(sorted(said, key=lambda each: each.at))[-limit:],
        tuple(step for step in story.steps if _is_within(step, conversation))[-steps:] if is_newest else (),
    )


def _is_within(step: Step, conversation: Listed) -> bool:
    """What came before it is not its story, nor is a clock that was moved after its end."""
    at = _moment(step.at_ms)
    if at is None or at < conversation.opened_at:
        return False
    is_after = conversation.ended_at is not None and at > conversation.ended_at
    return not (is_after and step.name == ClockAdvanced.name and len(step.changes) == 1)


async def messages_of(connection: Connection, conversation_id: str, *, limit: int) -> Sequence[Said]:
    """The newest messages of a conversation, oldest first. Raises `ReadModelUnavailable`."""
    async with connection.database.transaction(readonly=True) as reading:
        rows = await reading.fetch(sql("conversation_messages"), conversation_id, limit, RECONCILER)
        return [_message(row) for row in rows]


async def _listed(
    reading: DatabaseConnection,
    *,
    statuses: Collection[Status] | None = None,
    owner: str | None = None,
    ids: Sequence[str] | None = None,
    limit: int,
    offset: int = 0,
) -> Sequence[Listed]:
    asked = list(statuses) if statuses else None
    return [_conversation(row) for row in await reading.fetch(sql("conversations"), asked, owner, ids, limit, offset)]


def _conversation(row: Any) -> Listed:
    fields = dict(row)
    since = _moment(fields.pop("unanswered_since_ms"))
    return Listed(**fields | {"status": Status(fields["status"])}, unanswered_since=since)


def _message(row: Any) -> Said:
    author = "contact" if row["direction"] == "inbound" else _author(row["reply_kind"], row["replied_by"])
    return Said(
        row["at"],
        author,
        row["body"] or "",
        row["status"],
        row["error_code"],
        row["sid"],
        row["reply_id"],
        row["part"],
        _written_at(row),
    )


def _written_at(row: Any) -> datetime | None:
    if row["fetched"] is None:
        return None
    late = timedelta(milliseconds=late_ms(decode(row["fetched"].encode()), row["appended_at_ms"]))
    written_at: datetime = row["at"] - late
    return written_at if late >= LATE else None


def _unsaid(row: Any) -> list[Said]:
    """The parts of a reply that are no message, or none yet."""
    whole = row["status"] if row["status"] in (ReplyStatus.WITHDRAWN, ReplyStatus.SUPERSEDED) else None
    author = _author(row["kind"], row["replied_by"])
    return [
        Said(row["at"], author, part.text, whole or _BECAME.get(part.status, part.status), reply=row["id"], part=index)
        for index, part in enumerate(_PARTS.validate_json(row["parts"]))
        if part.status is not PartStatus.SENT
    ]


_BECAME = {PartStatus.OPEN: "to be sent", PartStatus.STARTED: "being sent"}


def _author(kind: str | None, by: str | None) -> str:
    return by or (_AUTHORS.get(ReplyKind(kind), kind) if kind else "")


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC)
