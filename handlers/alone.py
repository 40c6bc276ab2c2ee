"""
An event that is handled alone, because workers ended: the log tells when it is in work.

A start that was not taken back, found by whoever takes over from a worker that ended, tells what that worker was doing. So the
start is taken back where nothing of the event is executed that could end a worker: while its handler only waits, for minutes
where Twilio is asked what became of a send; where its handler leaves it unfinished, because a try failed or because the
partition is being given back; and where its handler is done with it, since a tick may find it yet again. What cannot be told then
is remembered by the process, as long as it lives, and known to the next owner from how the partition is taken over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from handlers.journal import Journal
from projections.reader import View
from streams import leaving
from streams.delivery import Delivery
from streams.errors import TransientError
from streams.events import AttemptPaused, AttemptStarted

LEAVING_SECONDS = 0.5
"""A handler that is cut off is cut off again after a second. A log that does not answer within this leaves the start standing."""

DONE_SECONDS = 5.0
"""Nobody cuts off a handler that is done, but other events wait for it. It is finished, whether the log could be told or not."""


class Alone:
    """One delivery of such an event, as the log tells of it."""

    def __init__(self, journal: Journal, delivery: Delivery) -> None:
        self._journal = journal
        self._delivery = delivery
        self._is_in_work = False
        self._is_waiting = False

    @property
    def is_in_work(self) -> bool:
        """Whether its last start is not known to be taken back."""
        return self._is_in_work

    @asynccontextmanager
    async def in_work(self) -> AsyncIterator[None]:
        """Within it the event is in work, except where it waits."""
        token = _OF_THIS_WORK.set(self)
        try:
            await self._start()
            yield
            await self._leave(DONE_SECONDS)
        except TransientError:
            await self._leave(LEAVING_SECONDS)
            raise
        except asyncio.CancelledError:
            if leaving.is_told():
                await self._leave(LEAVING_SECONDS)
            raise
        finally:
            _OF_THIS_WORK.reset(token)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Within it the event only waits. A wait within a wait, and one that is broken off, tell nothing more."""
        if self._is_waiting:
            yield
            return
        await self._pause()
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False
        await self._start()

    async def take_back(self) -> View:
        """Tell that whoever began it last has left it."""
        paused = AttemptPaused(event=self._delivery.event.id, group=self._delivery.group)
        return await self._journal.record(paused, cause=self._delivery.event)

    async def _start(self) -> None:
        self._is_in_work = True
        started = AttemptStarted(event=self._delivery.event.id, group=self._delivery.group)
        await self._journal.record(started, cause=self._delivery.event)

    async def _pause(self) -> None:
        if self._is_in_work:
            await self.take_back()
            self._is_in_work = False

    async def _leave(self, within_seconds: float) -> None:
        with suppress(TransientError, TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._pause()


_OF_THIS_WORK: ContextVar[Alone | None] = ContextVar("alone", default=None)


@asynccontextmanager
async def waiting() -> AsyncIterator[None]:
    """Within it a handler only waits: for a time to come, or for its turn. Nothing is told where events are not handled alone."""
    alone = _OF_THIS_WORK.get()
    if alone is None:
        yield
    else:
        async with alone.waiting():
            yield
