"""
Whoever merely waits, within the work on a partition, waits no longer once the partition is being given back.

What is under way is finished within the drain's limit: a call, the record of its outcome. A pause before the next try, or the
wait for a projection that may never come, would only use that limit up; the next owner goes on from there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from streams.errors import LeaseLost


class Leaving:
    """Of one partition in one group."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._limits: dict[asyncio.Timeout, float] = {}

    @property
    def is_told(self) -> bool:
        return self._told.is_set()

    def tell(self) -> None:
        """The partition is being given back, from now on. To tell it again changes no limit."""
        if self.is_told:
            return
        self._told.set()
        now = asyncio.get_running_loop().time()
        for limit, seconds in self._limits.items():
            limit.reschedule(now + seconds)
        self._limits.clear()

    async def wait(self, seconds: float) -> bool:
        """Wait until it is told, and so long at most; whether it was."""
        try:
            async with asyncio.timeout(seconds):
                return await self._told.wait()
        except TimeoutError:
            return False

    @asynccontextmanager
    async def limited(self, seconds: float) -> AsyncIterator[None]:
        """Raises `LeaseLost` where this lasts longer than `seconds` after it was told."""
        try:
            async with asyncio.timeout(seconds if self.is_told else None) as limit:
                if not self.is_told:
                    self._limits[limit] = seconds
                yield
        except TimeoutError:
            if limit.expired():
                raise _given_back() from None
            raise
        finally:
            self._limits.pop(limit, None)


OF_THIS_WORK: ContextVar[Leaving | None] = ContextVar("leaving", default=None)
"""Set for the tasks that work on a partition; what is done outside of one is not given back."""


def is_told() -> bool:
    """Whether the partition that this is work of is being given back, or is lost."""
    leaving = OF_THIS_WORK.get()
    return leaving is not None and leaving.is_told


def require_staying() -> None:
    """Raises `LeaseLost` where the partition that this is work of is being given back: what has not begun is the next owner's."""
    if is_told():
        raise _given_back()


async def pause(seconds: float) -> None:
    """Sleep. Raises `LeaseLost` as soon as the partition that this is work of is being given back."""
    leaving = OF_THIS_WORK.get()
    if leaving is None:
        await asyncio.sleep(seconds)
    elif await leaving.wait(seconds):
        raise _given_back()


@asynccontextmanager
async def limited(seconds: float) -> AsyncIterator[None]:
    """Raises `LeaseLost` where this lasts longer than `seconds` while the partition is being given back."""
    leaving = OF_THIS_WORK.get()
    if leaving is None:
        yield
    else:
        async with leaving.limited(seconds):
            yield


def _given_back() -> LeaseLost:
    return LeaseLost("the partition is being given back")
