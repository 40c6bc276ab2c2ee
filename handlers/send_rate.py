"""How often our addresses may send, all processes together."""

import asyncio
import random
from collections import defaultdict
from typing import Protocol

from handlers.alone import waiting
from handlers.journal import Patience
from streams import leaving
from streams.partitions import addresses_of

ASK_AGAIN_SECONDS = 1.0


class RateLimit(Protocol):
    """Hands out times, each once."""

    async def reserve(self, key: str) -> float | None:
        """Seconds until the caller's time; None where it must ask again later. Raises `LogUnavailable`."""
        ...

    async def close(self) -> None: ...


class SendRate:
    """
    Each of our addresses has its own rate; without a limit nobody waits, and nobody is asked.

    Who waits for the same address stands in line within this process, and only the first of them asks.
    """

    def __init__(self, limit: RateLimit | None = None) -> None:
        self._limit = limit
        self._patience = Patience()
        self._lines: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def admit(self, thread: str) -> bool:
        """
        Return when the next call for the thread may begin. Whether it may have waited: what was known before may be old.

        Raises `LeaseLost` where the partition is being given back meanwhile.
        """
        if self._limit is None:
            return False
        sender, _ = addresses_of(thread)
        async with waiting(), leaving.limited(0.0), self._lines[sender]:
            seconds = await self._reserved(self._limit, sender)
            while seconds is None:
                await asyncio.sleep(ASK_AGAIN_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - jitter
                seconds = await self._reserved(self._limit, sender)
            await asyncio.sleep(seconds)
        return True

    async def close(self) -> None:
        if self._limit is not None:
            await self._limit.close()

    async def _reserved(self, limit: RateLimit, sender: str) -> float | None:
        return await self._patience.until_done(lambda: limit.reserve(sender))
