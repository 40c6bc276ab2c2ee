"""Logs that fail as a test tells them to."""

import asyncio

from streams.engines.memory import MemoryEventLog
from streams.envelope import decode
from streams.errors import LogUnavailable, ProsaError
from streams.events import Event
from streams.log import Appended


class FaultyLog(MemoryEventLog):
    """
    A log in memory that is down while `failure` is set, and answers nothing while `is_hanging`.

    With `is_mute` an append succeeds but its caller is not told in time.
    """

    def __init__(self) -> None:
        super().__init__(8, clock=lambda: 1_800_000_000_000)
        self.failure: ProsaError | None = None
        self.is_hanging = False
        self.is_mute = False
        self.starts = 0

    @property
    def events(self) -> list[Event]:
        return [decode(record.value) for records in self._records for record in records]

    def clear(self) -> None:
        for records in self._records:
            records.clear()

    async def start(self) -> None:
        self.starts += 1
        await self._answer()

    async def append(self, event: Event) -> Appended:
        await self._answer()
        appended = await super().append(event)
        if self.is_mute:
            await asyncio.Event().wait()
        return appended

    async def require_writable(self) -> None:
        await self._answer()

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        if self.is_hanging:
            await asyncio.Event().wait()


def down() -> LogUnavailable:
    return LogUnavailable("connection refused")
