"""How a person settles a send that nobody can tell about."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from operations.connection import Connection
from operations.errors import ActRefused
from projections.changes import SENDER
from projections.database import sql
from projections.state import Attempt, PartStatus, Reply, ReplyStatus, ThreadState
from streams.events import AnyEventData, DeadLetterDiscarded, MessageSent, SendDisproved, SendRejected

_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")

_OUTCOMES = {
    PartStatus.OPEN: "the sender tries again",
    PartStatus.STARTED: "the sender tries again",
    PartStatus.SENT: "the sender has sent it",
    PartStatus.REJECTED: "nothing more of this reply is sent",
}


@dataclass(frozen=True, slots=True)
class Settled:
    """What somebody said about a part, and what came of it."""

    reply: str
    part: int
    status: str
    outcome: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A part of which nobody knows whether it went out; `part` counts from 0, as in the log."""

    thread: str
    owner: str
    state: ThreadState
    log_time_ms: int
    reply: Reply
    part: int

    @property
    def attempt(self) -> Attempt:
        return self.reply.parts[self.part].attempts[-1]

    @property
    def identity(self) -> Mapping[str, str | int]:
        return {"reply": self.reply.id, "part": self.part, "attempt": self.attempt.id}


async def settle_as_sent(connection: Connection, reply: str, *, part: int | None, sid: str) -> Settled:
    """
    A person saw the message at Twilio: it counts as sent, and what comes after it goes out.

    Raises `ActRefused` where nothing is in doubt or the sid is that of another message, `ActUnconfirmed`, and `NotFoldedYet`.
    """
    doubt = await _in_doubt(connection, reply, part, {PartStatus.UNCONFIRMED, PartStatus.STARTED})
    await _require_no_other_message(connection, doubt, sid)
    return await _settle(connection, doubt, _once_sent, MessageSent(**doubt.identity, sid=sid, status="sent"))


async def _require_no_other_message(connection: Connection, doubt: InDoubt, sid: str) -> None:
    """Raise `ActRefused` for what is no message's sid, or that of a message which cannot be this part."""
    if not _SID.fullmatch(sid):
        raise ActRefused("a message's sid is SM or MM and 32 hexadecimal digits; Twilio's console shows it")
    async with connection.database.transaction(readonly=True) as reading:
        known = await reading.fetchrow(sql("message_of_sid"), sid)
    if known is None:
        return
    elsewhere = " on another thread" if known["thread"] != doubt.thread else ""
    if elsewhere or known["direction"] == "inbound":
        raise ActRefused(f"{sid} is another message, {known['direction']}{elsewhere}")
    if known["reply_id"] is not None and (known["reply_id"], known["part"]) != (doubt.reply.id, doubt.part):
        raise ActRefused(f"{sid} is another message: part {known['part'] + 1} of reply {known['reply_id']}")


async def settle_as_unsent(connection: Connection, reply: str, *, part: int | None) -> Settled:
    """
    A person made sure that it was not sent: the sender tries again.

    Raises `ActRefused` also where it would come too late: after a newer reply, or after WhatsApp's window has closed.
    """
    doubt = await _in_doubt(connection, reply, part, {PartStatus.UNCONFIRMED})
    if doubt.state.last_sent_reply > doubt.reply.number:
        raise ActRefused(
            "a newer reply went out, and the contact would read them in the wrong order; drop it, or say it anew as a person"
        )
    if doubt.log_time_ms >= doubt.state.window_closes_at_ms:
        raise ActRefused("the contact wrote more than 24 hours ago, and WhatsApp would not deliver it; drop it")
    return await _settle(connection, doubt, _once_unsent, SendDisproved(**doubt.identity))


async def drop(connection: Connection, reply: str, *, part: int | None, by: str, reason: str | None = None) -> Settled:
    """
    A person made sure that it was not sent, and it shall not be: neither this part nor what follows it.

    Rejecting it opens a dead letter, which is discarded at once. Raises like `settle_as_sent`.
    """
    doubt = await _in_doubt(connection, reply, part, {PartStatus.UNCONFIRMED})
    discarded = DeadLetterDiscarded(event=doubt.reply.event, group=SENDER, by=by, reason=reason)
    return await _settle(connection, doubt, _once_unsent, SendRejected(**doubt.identity), discarded)


async def _in_doubt(connection: Connection, prefix: str, part: int | None, allowed: set[PartStatus]) -> InDoubt:
    if not prefix.strip():
        raise ActRefused("no reply is named: give its id, or how it begins")
    async with connection.database.transaction(readonly=True) as reading:
        rows = await reading.fetch(sql("replies_by_prefix"), prefix, 2)
    row = next((row for row in rows if row["id"] == prefix), rows[0] if rows else None)
    if row is None:
        raise ActRefused(f"no reply's id begins with {prefix}")
    if len(rows) > 1 and row["id"] != prefix:
        raise ActRefused(f"more than one reply's id begins with {prefix}")
    view = await connection.look(row["thread"])
    reply = view.state.reply(row["id"]) if view.state else None
    if view.state is None or reply is None:
        raise ActRefused(f"reply {row['id']} was settled long ago")
    index = _index(reply, part, allowed)
    return InDoubt(row["thread"], row["owner"], view.state, view.log_time_ms, reply, index)


def _index(reply: Reply, part: int | None, allowed: set[PartStatus]) -> int:
    if part is not None and not 1 <= part <= len(reply.parts):
        raise ActRefused(f"reply {reply.id} has no part {part}: it has {len(reply.parts)}")
    asked = range(len(reply.parts)) if part is None else [part - 1]
    index = next((index for index in asked if reply.parts[index].status in allowed), None)
    if index is None:
        if any(reply.parts[index].status is PartStatus.STARTED for index in asked):
            raise ActRefused(f"reply {reply.id} is in the sender's hands, who is finding out; wait until it is unconfirmed")
        stands = ", ".join(f"part {index + 1} is {reply.parts[index].status}" for index in asked)
        raise ActRefused(f"nothing of reply {reply.id} is in doubt: {stands}")
    return index


async def _settle(
    connection: Connection, doubt: InDoubt, outcome: Callable[[Reply, PartStatus], str], *facts: AnyEventData
) -> Settled:
    for fact in facts:
        appended = await connection.append(fact, subject=doubt.thread, owner=doubt.owner)
    await connection.folded(appended)
    state = (await connection.look(doubt.thread)).state
    reply = (state.reply(doubt.reply.id) if state else None) or doubt.reply
    status = reply.parts[doubt.part].status
    return Settled(reply.id, doubt.part + 1, status, outcome(reply, status))


def _once_sent(reply: Reply, status: PartStatus) -> str:
    if status is not PartStatus.SENT:
        return f"it is {status}"
    rest = sum(part.status is PartStatus.OPEN for part in reply.parts)
    return "it counts as sent" + (f"; the sender goes on with {rest} more" if rest else "")


def _once_unsent(reply: Reply, status: PartStatus) -> str:
    """By now the sender may have tried again already."""
    if reply.status is ReplyStatus.WITHDRAWN:
        return "somebody has taken over since: it is withdrawn, and what it answered waits again"
    return _OUTCOMES.get(status, f"it is {status}")
