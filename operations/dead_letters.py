"""Dead letters as a person sees them, and what a person decides about them: round again, or nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from operations.connection import Connection
from operations.errors import ActRefused
from operations.permission import WINDOW
from projections.changes import RESPONDER
from projections.database import Database, sql
from projections.state import Reply, ReplyStatus, Status, ThreadState
from streams.events import DeadLetterDiscarded, RedriveRequested
from streams.log import Appended

MOST_AT_ONCE = 10_000
"""So many are redriven by one command at most."""

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as its row stands. `at` is log time, and `age_seconds` counts by the same clock."""

    event: str
    group: str
    owner: str
    thread: str
    conversation_id: str | None
    status: str
    error: str
    fingerprint: str
    attempts: int
    at: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class ArchivedEvent:
    """An event as it stands in the archive of the log."""

    type: str
    log_time: datetime
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """A dead letter, its event, and what the log said about it since."""

    letter: Letter
    event: ArchivedEvent | None
    since: Sequence[ArchivedEvent]


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about a dead letter, and what came of it: the status that it has, or is bound to have in a moment."""

    letter: Letter
    status: str
    outcome: str


async def letters(
    database: Database,
    *,
    status: str | None = "open",
    group: str | None = None,
    prefix: str = "",
    limit: int = 100,
    oldest_first: bool = False,
) -> Sequence[Letter]:
    """The newest dead letters of a status, or of any where that is None; or the oldest. Raises `ReadModelUnavailable`."""
    async with database.transaction(readonly=True) as connection:
        rows = await connection.fetch(sql("dead_letters"), status, group, prefix, limit, oldest_first)
    return [_letter(row) for row in rows]


async def letters_to_redrive(database: Database, *, group: str | None = None) -> Sequence[Letter]:
    """What one command redrives of all that are open: the oldest, so that the next command finds the newer ones."""
    return await letters(database, group=group, limit=MOST_AT_ONCE, oldest_first=True)


async def the_letter(database: Database, prefix: str, *, group: str | None = None) -> Letter:
    """The one dead letter whose event's id begins so. Raises `ActRefused` where there is none, or more than one."""
    if not prefix.strip():
        raise ActRefused("no dead letter is named: give its event's id, or how it begins")
    found = await letters(database, status=None, group=group, prefix=prefix, limit=MOST_NAMED + 1)
    exact = [letter for letter in found if letter.event == prefix] or found
    if not exact:
        raise ActRefused(f"no dead letter's event id begins with {prefix}")
    if len(exact) > 1:
        named = ", ".join(f"{letter.event} ({letter.group})" for letter in exact[:MOST_NAMED])
        raise ActRefused(f"{prefix} may mean {named}{' …' if len(exact) > MOST_NAMED else ''}; say which, and --group if need be")
    return exact[0]


async def history(database: Database, letter: Letter) -> History:
    """Everything that the archive tells about a dead letter. Raises `ReadModelUnavailable`."""
    async with database.transaction(readonly=True) as connection:
        event = await connection.fetchrow(sql("event_of_thread"), letter.thread, letter.event)
        since = await connection.fetch(sql("events_about"), letter.thread, letter.event)
    return History(letter, _archived(event) if event else None, [_archived(row) for row in since])


async def redrive(connection: Connection, letter: Letter, *, by: str) -> Decision:
    """Let its group handle it again. Raises `ActRefused` where it is not open, `ActUnconfirmed`, and `NotFoldedYet`."""
    await _require_open(connection, letter)
    await connection.folded(await _ask_again(connection, letter, by))
    return await _redriven(connection, letter)


async def redrive_each(connection: Connection, asked: Iterable[Letter], *, by: str) -> Sequence[Decision]:
    """
    Let the groups handle these again, the oldest first, so that no newer reply goes out before an older one.

    What somebody else decided meanwhile is left alone. Raises `ActUnconfirmed` and `NotFoldedYet`; what was written by then
    counts.
    """
    in_order = sorted(asked, key=lambda letter: (letter.at, letter.event))
    still_open = [letter for letter in in_order if await _is_open(connection, letter)]
    appended = [await _ask_again(connection, letter, by) for letter in still_open]
    for last in {each.partition: each for each in appended}.values():
        await connection.folded(last)
    return [await _redriven(connection, letter) for letter in still_open]


async def discard(connection: Connection, letter: Letter, *, by: str, reason: str | None = None) -> Decision:
    """Decide that nothing will be done about it. Raises `ActRefused`, `ActUnconfirmed`, and `NotFoldedYet`."""
    await _require_open(connection, letter)
    decision = DeadLetterDiscarded(event=letter.event, group=letter.group, by=by, reason=reason)
    await connection.folded(await connection.append(decision, subject=letter.thread, owner=letter.owner))
    now = await the_letter(connection.database, letter.event, group=letter.group)
    return Decision(letter, now.status, "nothing will be done about it" if now.status == "discarded" else f"it is {now.status}")


async def _require_open(connection: Connection, letter: Letter) -> None:
    if letter.status != "open":
        raise ActRefused(f"{letter.event} ({letter.group}) is not open: it is {letter.status}")
    if not await _is_open(connection, letter):
        raise ActRefused(f"{letter.event} ({letter.group}) is open no more: somebody decided a moment ago")


async def _is_open(connection: Connection, letter: Letter) -> bool:
    """By the state of the thread, which is what the fold will go by."""
    state = (await connection.look(letter.thread)).state
    return state is not None and any((each.event, each.group) == (letter.event, letter.group) for each in state.dead_letters)


async def _ask_again(connection: Connection, letter: Letter, by: str) -> Appended:
    asked = RedriveRequested(event=letter.event, group=letter.group, by=by)
    return await connection.append(asked, subject=letter.thread, owner=letter.owner)


async def _redriven(connection: Connection, letter: Letter) -> Decision:
    now = await the_letter(connection.database, letter.event, group=letter.group)
    view = await connection.look(letter.thread)
    state = view.state
    if now.status == "refused":
        return Decision(letter, now.status, "refused: a newer reply went out, and the contact would read them in the wrong order")
    if now.status != "redriven" or state is None:
        return Decision(letter, now.status, f"it failed again: {now.error}" if now.status == "open" else f"it is {now.status}")
    reply = next((each for each in state.replies if each.event == letter.event), None)
    if view.log_time_ms >= state.window_closes_at_ms and _is_to_be_said(letter, state, reply):
        return Decision(letter, "open", f"it becomes a dead letter again: {WINDOW}")
    if letter.group == RESPONDER:
        return Decision(letter, now.status, _of_a_message(state, letter.event))
    return Decision(letter, now.status, _of_a_reply(reply) if reply else "the sender looks at the thread again")


def _is_to_be_said(letter: Letter, state: ThreadState, reply: Reply | None) -> bool:
    """Whether the group is to say something to the contact about it."""
    if letter.group == RESPONDER:
        return state.ai_may_answer and any(message.event == letter.event for message in state.unanswered)
    return reply is not None and reply.status is ReplyStatus.ACCEPTED


def _of_a_message(state: ThreadState, event: str) -> str:
    if all(message.event != event for message in state.unanswered):
        return "nothing waits any more: it is answered"
    if state.conversation and state.conversation.status is Status.HANDOFF:
        return "it waits for an answer of the person who has the conversation"
    return "it waits for an answer again"


def _of_a_reply(reply: Reply) -> str:
    return _OUTCOMES.get(reply.status, f"the reply is {reply.status}")


_OUTCOMES = {ReplyStatus.ACCEPTED: "it is to be sent again", ReplyStatus.SENT: "it was sent"}


def _letter(row: asyncpg.Record) -> Letter:
    fields = dict(row)
    return Letter(event=fields.pop("event_id"), group=fields.pop("consumer_group"), **fields)


def _archived(row: asyncpg.Record) -> ArchivedEvent:
    return ArchivedEvent(row["type"], row["log_time"], json.loads(row["event"]))
