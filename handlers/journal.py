"""What a handler does with the log and the projection: look at a thread, record an outcome, and see its own record folded."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from projections.progress import Progress
from projections.reader import Line, Reader, View
from streams.envelope import new_event
from streams.errors import LogUnavailable, ReadModelUnavailable
from streams.events import AnyEventData, Event
from streams.log import Appended, EventLog
from streams.partitions import partition_of_subject
from streams.retry import RetryPolicy
from telemetry import log

_Result = TypeVar("_Result")

_PATIENCE = RetryPolicy(base_seconds=0.2, max_seconds=5.0)


class Journal:
    """
    A handler's view of the thread it works on. It holds on while the log or Postgres is away, however long that takes.

    Waiting is right: whoever waits still holds the thread, and is cancelled when the partition's lease is lost.
    """

    def __init__(self, event_log: EventLog, progress: Progress, reader: Reader, *, source: str) -> None:
        self._log = event_log
        self._progress = progress
        self._reader = reader
        self._source = source

    def partition_of(self, thread: str) -> int:
        return partition_of_subject(thread, self._log.partitions)

    async def look(self, thread: str, at_least: int = 0) -> View:
        """The thread once the projection has reached the position `at_least`; a later one may come back, never an earlier one."""
        partition = self.partition_of(thread)

        async def look() -> View:
            await self._progress.reached(partition, at_least)
            view = await self._reader.view(partition, thread)
            if view.position < at_least:
                self._progress.forget(partition)
                raise ReadModelUnavailable(f"partition {partition}: the checkpoint went back")
            return view

        return await patiently(look)

    async def record(self, data: AnyEventData, *, cause: Event, thread: str | None = None) -> View:
        """Append an outcome, wait until it is folded, and look. A repeated append of the same event is harmless."""
        subject = thread or cause.subject
        event = new_event(data, subject=subject, source=self._source, cause=cause)
        appended: Appended = await patiently(lambda: self._log.append(event))
        log.info("event.appended", type=event.type, id=event.id)
        return await self.look(subject, appended.position)

    async def accounted_sids(self, sids: Iterable[str]) -> set[str]:
        """Of these messages those that belong to a reply, or came in."""
        return await patiently(lambda: self._reader.accounted_sids(sids))

    async def history(self, conversation_id: str, unanswered: Iterable[str], *, limit: int) -> Sequence[Line]:
        """The newest messages of a conversation and all unanswered ones, in the order of the log."""
        return await patiently(lambda: self._reader.history(conversation_id, unanswered, limit=limit))

    async def awaiting_answer(self, partition: int, since_ms: int, *, limit: int) -> Sequence[str]:
        """Threads where something has waited for an answer since then or longer."""
        return await patiently(lambda: self._reader.awaiting_answer(partition, since_ms, limit=limit))

    async def awaiting_send(self, partition: int, since_ms: int, *, limit: int) -> Sequence[str]:
        """Threads where a reply has waited to be sent since then or longer."""
        return await patiently(lambda: self._reader.awaiting_send(partition, since_ms, limit=limit))

    async def time_ms(self) -> int:
        """The clock that stamps appends."""
        return await patiently(self._log.time_ms)


async def patiently(act: Callable[[], Awaitable[_Result]]) -> _Result:
    """Do it again until the log and Postgres answer."""
    attempt = 0
    while True:
        try:
            return await act()
        except (LogUnavailable, ReadModelUnavailable) as error:
            attempt += 1
            if attempt == 1:
                log.warning("waiting", error=str(error), kind=type(error).__name__)
            await asyncio.sleep(_PATIENCE.pause_seconds(attempt, random.random()))  # noqa: S311 - jitter
