"""What handlers read: a thread's state together with how new it is."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from projections.database import Database, sql
from projections.rows import load_thread
from projections.state import ThreadState
from streams.envelope import decode
from streams.events import Event


@dataclass(frozen=True, slots=True)
class View:
    """A thread as it stood at one position of its partition; `state` is None for a thread that nobody has seen yet."""

    state: ThreadState | None
    position: int
    log_time_ms: int
    appended_at_ms: int


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a conversation's history."""

    direction: str
    body: str
    event: str
    sid: str
    is_by_person: bool


class Reader:
    """Reads for handlers, each in one statement, so that state and checkpoint belong together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def view(self, partition: int, thread: str) -> View:
        """A thread's state and its partition's checkpoint, from one statement."""
        async with self._database.transaction(readonly=True) as connection:
            row = await connection.fetchrow(sql("load_view"), partition, thread)
        if row is None:
            return View(None, 0, 0, 0)
        return View(
            load_thread(row["state"]) if row["state"] else None,
            row["position"],
            row["appended_at_ms"] + row["clock_offset_ms"],
            row["appended_at_ms"],
        )

    async def versions(self, threads: Collection[str]) -> Mapping[str, str]:
        """Who wrote the state of each of these threads last, as Postgres numbers its transactions."""
        async with self._database.transaction(readonly=True) as connection:
            return {row["thread"]: row["version"] for row in await connection.fetch(sql("versions_of_threads"), list(threads))}

    async def history(self, conversation_id: str, unanswered: Iterable[str], *, limit: int) -> Sequence[Line]:
        """The newest `limit` messages of a conversation and all unanswered ones, in the order of the log."""
        async with self._database.transaction(readonly=True) as connection:
            rows = await connection.fetch(sql("load_history"), conversation_id, list(unanswered), limit)
        return [
            Line(row["direction"], row["body"] or "", row["event_id"], row["sid"], row["reply_kind"] == "person") for row in rows
        ]

    async def awaiting_answer(self, partition: int, since_ms: int, *, limit: int) -> Sequence[str]:
        """Threads where the AI may answer and something has waited since then or longer, the longest first."""
        return await self._threads("threads_awaiting_answer", partition, since_ms, limit)

    async def awaiting_send(self, partition: int, since_ms: int, *, limit: int) -> Sequence[str]:
        """Threads where an accepted reply has waited to be sent since then or longer, the longest first."""
        return await self._threads("threads_awaiting_send", partition, since_ms, limit)

    async def accounted_sids(self, thread: str, sids: Iterable[str], *, apart_from: str) -> set[str]:
        """Of these messages of the thread, those that came in, belong to a reply, or another attempt than `apart_from` sent."""
        async with self._database.transaction(readonly=True) as connection:
            return {row["id"] for row in await connection.fetch(sql("accounted_sids"), list(sids), thread, apart_from)}

    async def event(self, thread: str, event: str) -> Event | None:
        """One event of a thread as the archive has it; None where it has none, or only bytes that nobody could read."""
        async with self._database.transaction(readonly=True) as connection:
            row = await connection.fetchrow(sql("event_of_thread"), thread, event)
        return decode(row["event"].encode()) if row and row["event"] else None

    async def _threads(self, statement: str, partition: int, since_ms: int, limit: int) -> Sequence[str]:
        async with self._database.transaction(readonly=True) as connection:
            return [row["thread"] for row in await connection.fetch(sql(statement), partition, since_ms, limit)]
