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
from streams.events import Event, MessageReceived, MessageSent, MessageStatusChanged
from streams.partitions import partition_subject

CONVERSATIONS = 2
"""How many of a thread's conversations are folded again; the bound of the cost."""


STEPS = 200
"""How many steps of a thread are kept; nobody reads more of them."""

KEPT = 64
"""How many threads a connection goes on with where it stood; the one asked for longest ago is begun anew."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    A thread as it is folded now, and the last steps that led there.

    `log_time_ms` is the log's clock by now. `window_closes_at_ms` is until when
    WhatsApp lets us write freely; 0 if the contact never wrote. `open_dead_letters` wait for a person.
    """

    conversation: Conversation | None
    window_closes_at_ms: int
    log_time_ms: int
    steps: tuple[Step, ...]
    open_dead_letters: int = 0


async def timeline(connection: Connection, thread: str, *, limit: int = 20) -> Timeline:
    """
    The newest `limit` steps of a thread, oldest first, `STEPS` at most; none for a thread that nobody has seen. Needs no log.

    The fold begins with the conversation before the newest one. What came still earlier is not known to it: a person who redrives
    a dead letter of those days shows as a step that changed nothing. Asked again over the same connection, it goes on from where
    it stood. Raises `ReadModelUnavailable`.
    """
    async with connection.database.transaction(readonly=True) as reading:
        row = await reading.fetchrow(sql("timeline_thread"), thread)
        if row is None:
            return Timeline(None, 0, 0, ())
        refold = await _begun(reading, connection.refolds.pop(thread, None), thread, row)
        await _go_on(reading, refold, row)
    _keep(connection.refolds, refold)
    state = load_thread(row["state"])
    steps = tuple(refold.steps[-limit:])
    return Timeline(state.conversation, state.window_closes_at_ms, row["log_time_ms"], steps, len(state.dead_letters))


async def _begun(reading: DatabaseConnection, kept: Refold | None, thread: str, row: Any) -> Refold:
    """What is folded already, unless the read model was made anew since; else what the fold begins with."""
    if kept and (kept.epoch, kept.position) <= (row["epoch"], row["position"]):
        return kept
    refold = _before(thread, await reading.fetch(sql("timeline_beginning"), thread, row["partition"], CONVERSATIONS + 1))
    policy = await reading.fetchrow(sql("timeline_policy"), row["partition"], refold.epoch, refold.position)
    refold.take([_archived(policy)] if policy else [])
    return refold


async def _go_on(reading: DatabaseConnection, refold: Refold, row: Any) -> None:
    """Fold what was archived since, up to the position of the thread's row, and the silence that was shown by then."""
    partition, until = row["partition"], (row["epoch"], row["position"])
    places = refold.epoch, refold.position, *until
    rows = await reading.fetch(sql("timeline_events"), partition, refold.state.thread, *places)
    entries = [_archived(each) for each in rows]
    await _learn_messages(reading, refold, [entry.event for entry in entries])
    refold.take(entries)
    silence = await reading.fetchval(sql("timeline_silence"), partition, partition_subject(partition), *until)
    refold.pass_silence(silence or 0)
    refold.epoch, refold.position = until
    del refold.steps[:-STEPS]


async def _learn_messages(reading: DatabaseConnection, refold: Refold, events: Sequence[Event]) -> None:
    """The messages from before that these events speak of: a sid that was there already counts once."""
    sids = {event.data.sid for event in events if isinstance(event.data, MessageReceived | MessageSent | MessageStatusChanged)}
    unknown = sids - refold.known.keys()
    if unknown:
        new = {event.id for event in events}
        messages = await store.load_messages(reading, unknown)
        refold.known |= {sid: message for sid, message in messages.items() if message.event not in new}


def _keep(refolds: dict[str, Refold], refold: Refold) -> None:
    refolds[refold.state.thread] = refold
    while len(refolds) > KEPT:
        del refolds[next(iter(refolds))]


def _before(thread: str, openings: Sequence[Any]) -> Refold:
    """What the thread was before the first event that is folded again, and the place before it."""
    owner = openings[0]["owner"] if openings else "default"
    first = openings[min(CONVERSATIONS, len(openings)) - 1] if openings else None
    if first is None or first["position"] is None or len(openings) <= CONVERSATIONS:
        return Refold(ThreadState(thread, owner))
    ended = Conversation(openings[CONVERSATIONS]["id"], thread, owner, Status.EXPIRED, 0, 0)
    return Refold(ThreadState(thread, owner, ended), first["epoch"], first["position"] - 1)


def _archived(row: Any) -> Archived:
    return Archived(decode(row["event"].encode()), row["appended_at_ms"], row["log_time_ms"], row["error"])
