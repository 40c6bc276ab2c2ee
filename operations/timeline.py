"""What happened on a thread, newest last: read from the archive of the log, and folded again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from operations.connection import Connection
from operations.refold import Archived, Refold, Step
from projections import store
from projections.database import Connection as DatabaseConnection
from projections.database import sql
from projections.rows import load_thread
from projections.state import Conversation, Status, ThreadState
from streams.envelope import decode
from streams.events import MessageReceived, MessageSent, MessageStatusChanged
from streams.partitions import START, partition_subject

CONVERSATIONS = 2
"""How many of a thread's conversations are folded again; the bound of the cost."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    A thread as it is folded now, and the last steps that led there.

    `log_time_ms` is the log's clock by now, reckoned on from the last entry that was folded. `window_closes_at_ms` is until when
    WhatsApp lets us write freely; 0 if the contact never wrote.
    """

    conversation: Conversation | None
    window_closes_at_ms: int
    log_time_ms: int
    steps: tuple[Step, ...]


async def timeline(connection: Connection, thread: str, *, limit: int = 20) -> Timeline:
    """
    The newest `limit` steps of a thread, oldest first; none for a thread that nobody has seen. Needs no log.

    The fold begins with the conversation before the newest one. What came still earlier is not known to it: a person who redrives
    a dead letter of those days shows as a step that changed nothing. Raises `ReadModelUnavailable`.
    """
    async with connection.database.transaction(readonly=True) as reading:
        row = await reading.fetchrow(sql("timeline_thread"), thread)
        if row is None:
            return Timeline(None, 0, 0, ())
        refold = await _begun(reading, thread, row)
        silence = await reading.fetchval(
            sql("timeline_silence"), row["epoch"], row["partition"], partition_subject(row["partition"]), row["position"]
        )
    refold.pass_silence(silence or 0)
    state = load_thread(row["state"])
    now_ms = row["log_time_ms"] + row["since_ms"]
    return Timeline(state.conversation, state.window_closes_at_ms, now_ms, tuple(refold.steps[-limit:]))


async def _begun(reading: DatabaseConnection, thread: str, row: Any) -> Refold:
    epoch, partition = row["epoch"], row["partition"]
    openings = await reading.fetch(sql("timeline_beginning"), thread, epoch, partition, CONVERSATIONS + 1)
    state, after = _before(thread, openings)
    rows = await reading.fetch(sql("timeline_events"), epoch, partition, thread, after, row["position"])
    entries = [_archived(each) for each in rows]
    return await _folded(reading, state, entries)


def _before(thread: str, openings: Sequence[Any]) -> tuple[ThreadState, int]:
    """What the thread was before the first event that is folded again, and the position before it."""
    owner = openings[0]["owner"] if openings else "default"
    first = openings[min(CONVERSATIONS, len(openings)) - 1] if openings else None
    if first is None or first["position"] is None or len(openings) <= CONVERSATIONS:
        return ThreadState(thread, owner), START
    ended = Conversation(openings[CONVERSATIONS]["id"], thread, owner, Status.EXPIRED, 0, 0)
    return ThreadState(thread, owner, ended), first["position"] - 1


async def _folded(reading: DatabaseConnection, state: ThreadState, entries: Sequence[Archived]) -> Refold:
    events = [entry.event for entry in entries]
    sids = {event.data.sid for event in events if isinstance(event.data, MessageReceived | MessageSent | MessageStatusChanged)}
    messages = await store.load_messages(reading, sids)
    folded = {event.id for event in events}
    refold = Refold(state, {sid: message for sid, message in messages.items() if message.event not in folded})
    refold.take(entries)
    return refold


def _archived(row: Any) -> Archived:
    return Archived(decode(row["event"].encode()), row["appended_at_ms"], row["log_time_ms"], row["error"])
