"""One piece of work per thread at a time, whether an event of the thread or a tick asked for it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Serial:
    """A lock per thread, as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone(self, thread: str) -> AsyncIterator[None]:
        """Wait for the thread's turn, and hold it."""
        lock = self._locks.setdefault(thread, asyncio.Lock())
        async with lock:
            yield

    def not_in_work(self, threads: Iterable[str]) -> list[str]:
        """Of these threads those that nobody works on."""
        return [thread for thread in threads if thread not in self._locks]
