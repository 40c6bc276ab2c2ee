"""One piece of work per thread at a time, whether an event of the thread or a tick asked for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from structlog.contextvars import bound_contextvars

from streams.cancellation import end
from streams.errors import FatalError, TransientError
from streams.outage import place_of
from telemetry import log, thread_hash

LONGEST_SECONDS = 300.0
"""A whole turn of a model, or the settling of a send, takes less; who is paused longer may be found again by a later tick."""


class Serial:
    """A lock per thread, as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone(self, thread: str) -> AsyncIterator[None]:
        """Wait for the thread's turn, and hold it; meanwhile log lines name the thread."""
        lock = self._locks.setdefault(thread, asyncio.Lock())
        with bound_contextvars(thread_hash=thread_hash(thread)):
            async with lock:
                yield

    async def on_each_idle(self, threads: Iterable[str], work: Callable[[str], Awaitable[None]]) -> None:
        """
        Work on those threads that nobody works on, all at once: what a tick found.

        One that fails ends none of the others, and the next tick finds it again. So it is with one that takes too long: until it
        is cut off no other tick of the partition looks for anything. Raises only what must stop the process.
        """
        idle = [thread for thread in threads if thread not in self._locks]

        async def work_on(thread: str) -> None:
            await work(thread)

        tasks = [asyncio.create_task(work_on(thread)) for thread in idle]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=LONGEST_SECONDS)
        finally:
            await end(tasks)
        outcomes = [asyncio.CancelledError() if task.cancelled() else task.exception() for task in tasks]
        for thread, outcome in zip(idle, outcomes, strict=True):
            if isinstance(outcome, asyncio.CancelledError):
                log.info("overlooked.cut", thread_hash=thread_hash(thread))
            if isinstance(outcome, FatalError):
                raise outcome
            if isinstance(outcome, Exception):
                tell = log.info if isinstance(outcome, TransientError) else log.error
                tell("overlooked.failed", thread_hash=thread_hash(thread), error=type(outcome).__name__, at=place_of(outcome))
