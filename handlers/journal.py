"""What a handler does with the log and the projection: look at a thread, record an outcome, and see its own record folded."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

import tracing
from handlers.measured import count_outcome
from handlers.outcome_lines import tell
from handlers.spans import appended_as, recorded
from handlers.watch import Watch
from projections.progress import Progress
from projections.reader import Line, Reader, View
from streams import leaving
from streams.crash_points import reached
from streams.envelope import new_event
from streams.errors import LogUnavailable, ReadModelUnavailable, TransientError
from streams.events import AnyEventData, Event
from streams.log import Appended, EventLog
from streams.partitions import partition_of_subject
from streams.retry import RetryPolicy
from telemetry import log

_Result = TypeVar("_Result")

PAUSES = RetryPolicy(base_seconds=0.2, max_seconds=2.0)

TURN_SECONDS = 30.0
"""Whoever waits so long for a turn tries all the same, should those before it fail for reasons of their own."""

LEAVING_SECONDS = 2.0
"""A projection at work takes milliseconds; where the partition is being given back nobody waits for one that stands still."""


class _Outage:
    """Of the log or of Postgres, as all who wait for it share it; `waiting` is how many those are."""

    def __init__(self, kind: type[TransientError]) -> None:
        self.kind = kind
        self.waiting = 0
        self._is_over = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tries = 0

    def over(self) -> None:
        """All who wait go on at once."""
        self._is_over.set()

    async def wait(self) -> None:
        """
        Return when it is over, or when it is the caller's turn to try.

        A thousand that each tried by themselves would keep a core busy, and the server when it comes back.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_SECONDS), self._turn:
                if not self._is_over.is_set():
                    self._tries += 1
                    await self._pause(PAUSES.pause_seconds(self._tries, random.random()))  # noqa: S311 - jitter

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_over.wait()


class Patience:
    """
    Does things again until the log and Postgres answer.

    However many wait for one of them, one line tells that it is away, and one after the other tries whether it still is. Where
    all who waited are gone before it was back, nothing is known any more: the next to miss it tells so again.
    """

    def __init__(self) -> None:
        self._away: dict[type[TransientError], _Outage] = {}

    async def until_done(self, act: Callable[[], Awaitable[_Result]]) -> _Result:
        """What `act` returns; it must bear being done twice."""
        missed = set[_Outage]()
        try:
            while True:
                try:
                    result = await act()
                except (LogUnavailable, ReadModelUnavailable) as error:
                    await self._missed(error, missed).wait()
                else:
                    self._tell_back(missed)
                    return result
        finally:
            self._leave(missed)

    def _missed(self, error: TransientError, missed: set[_Outage]) -> _Outage:
        kind = type(error)
        if kind not in self._away:
            self._away[kind] = _Outage(kind)
            log.warning("outage.begun", kind=kind.__name__, reason=str(error))
        outage = self._away[kind]
        outage.waiting += outage not in missed
        missed.add(outage)
        return outage

    def _tell_back(self, missed: Iterable[_Outage]) -> None:
        for outage in filter(self._lasts, missed):
            log.info("outage.ended", kind=outage.kind.__name__)
            self._away.pop(outage.kind).over()

    def _leave(self, missed: Iterable[_Outage]) -> None:
        for outage in missed:
            outage.waiting -= 1
            if not outage.waiting and self._lasts(outage):
                del self._away[outage.kind]

    def _lasts(self, outage: _Outage) -> bool:
        """Whoever missed an earlier one knows nothing about the present one."""
        return self._away.get(outage.kind) is outage


class Journal:
    """
    A handler's view of the thread it works on. It holds on while the log or Postgres is away, however long that takes.

    Waiting is right: whoever waits still holds the thread, and is cancelled when the partition's lease is lost. Where it is being
    given back, nobody waits long to read, and `LeaseLost` is raised; to write what has happened one waits as long as the drain.
    """

    def __init__(self, event_log: EventLog, progress: Progress, reader: Reader, *, source: str) -> None:
        self._log = event_log
        self._progress = progress
        self._reader = reader
        self._source = source
        self._patience = Patience()
        self.watch = Watch(lambda threads: self._read(lambda: reader.versions(threads)))

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

        return await self._read(look)

    @recorded
    async def record(self, data: AnyEventData, *, cause: Event, thread: str | None = None) -> View:
        """Append an outcome, wait until it is folded, and look. A repeated append of the same event is harmless."""
        subject = thread or cause.subject
        event = new_event(data, subject=subject, source=self._source, cause=cause, traceparent=tracing.traceparent())
        reached("outcome.decided")
        appended: Appended = await self._patience.until_done(lambda: self._log.append(event))
        tell(event, appended)
        appended_as(event, appended.partition)
        count_outcome(data)
        reached("outcome.appended")
        view = await self.look(subject, appended.position)
        reached("outcome.folded")
        return view

    async def accounted_sids(self, thread: str, sids: Iterable[str], *, apart_from: str) -> set[str]:
        """Of these messages of a thread those that are known to be something else than what the attempt `apart_from` sent."""
        return await self._read(lambda: self._reader.accounted_sids(thread, sids, apart_from=apart_from))

    async def history(self, conversation_id: str, unanswered: Iterable[str], *, limit: int) -> Sequence[Line]:
        """The newest messages of a conversation and all unanswered ones, in the order of the log."""
        return await self._read(lambda: self._reader.history(conversation_id, unanswered, limit=limit))

    async def awaiting_answer(self, partition: int, since_ms: int, *, limit: int) -> Sequence[str]:
        """Threads where something has waited for an answer since then or longer."""
        return await self._read(lambda: self._reader.awaiting_answer(partition, since_ms, limit=limit))

    async def awaiting_send(self, partition: int, since_ms: int, *, limit: int) -> Sequence[str]:
        """Threads where a reply has waited to be sent since then or longer."""
        return await self._read(lambda: self._reader.awaiting_send(partition, since_ms, limit=limit))

    async def event(self, thread: str, event: str) -> Event | None:
        """One event of a thread, as the log tells of it."""
        return await self._read(lambda: self._reader.event(thread, event))

    async def time_ms(self) -> int:
        """The clock that stamps appends."""
        return await self._read(self._log.time_ms)

    async def _read(self, act: Callable[[], Awaitable[_Result]]) -> _Result:
        async with leaving.limited(LEAVING_SECONDS):
            return await self._patience.until_done(act)


def on_behalf_of(view: View, cause: Event) -> Event:
    """The cause as what follows from it on this thread is to know it: a tick has no owner, and the thread has."""
    return cause.model_copy(update={"owner": view.state.owner}) if view.state else cause


async def patiently(act: Callable[[], Awaitable[_Result]]) -> _Result:
    """Do one thing again until the log and Postgres answer."""
    return await Patience().until_done(act)
