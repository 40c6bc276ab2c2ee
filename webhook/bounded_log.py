"""The log as the webhook needs it: every call ends within a limit, and a log that was down is opened by whoever comes next."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import metrics
from streams.errors import LogUnavailable, TransientError
from streams.events import Event
from streams.log import Appended, EventLog
from streams.partitions import partition_of_subject

Result = TypeVar("Result")


class BoundedLog:
    """
    An event log with a deadline.

    It raises what the log raises, and `LogUnavailable` past the deadline: then the event may or may not stand in the log. Nothing
    is appended before `start` of the log has verified what it is.
    """

    def __init__(self, log: EventLog, seconds: float) -> None:
        self._log = log
        self._seconds = seconds
        self._starting: asyncio.Task[None] | None = None

    def partition_of(self, event: Event) -> int:
        """Where it stands, or would."""
        return partition_of_subject(event.subject, self._log.partitions)

    async def open(self) -> None:
        """Verify the log, if nobody has yet; all who ask at once share one try, which goes on past their deadline."""
        await self._bounded(self._start())

    async def append(self, event: Event) -> Appended:
        """Make the event durable."""
        return await self._bounded(self._append(event))

    async def problems(self) -> list[str]:
        """What keeps the log from taking events now: it must be verified, and refuse none within the limit."""
        try:
            await self._bounded(self._require_writable())
        except TransientError as error:
            return [f"the log cannot be used ({error}); check REDIS_URL and the server behind it"]
        return []

    async def close(self) -> None:
        """Let go of the log."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
        await self._log.close()

    async def _start(self) -> None:
        if self._starting is None or _has_failed(self._starting):
            self._starting = asyncio.create_task(self._log.start())
            self._starting.add_done_callback(_has_failed)
        if not self._starting.done():
            await asyncio.shield(self._starting)

    async def _append(self, event: Event) -> Appended:
        await self._start()
        return await self._log.append(event)

    async def _require_writable(self) -> None:
        await self._start()
        await self._log.require_writable()

    async def _bounded(self, work: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self._seconds):
                return await work
        except TimeoutError:
            metrics.LOG_ERRORS.of(TimeoutError.__name__).inc()
            raise LogUnavailable(f"no answer in {self._seconds:g} s") from None


def _has_failed(start: asyncio.Task[None]) -> bool:
    """Also the done callback: an error that nobody waits for any more has been seen."""
    return start.done() and (start.cancelled() or start.exception() is not None)
