"""Whoever waits on a thread is told that something was folded into it: one look for all who wait, however many they are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field

from streams.cancellation import end
from streams.outage import place_of
from telemetry import log

LOOK_AGAIN_SECONDS = 2.0
"""A person who takes over waits no longer than this for a pause that is not theirs."""

Versions = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
"""For each of these threads something that is another whenever its state was written."""


@dataclass(eq=False, slots=True)
class _Waiter:
    thread: str
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_seen: bool = False
    version: str | None = None

    def see(self, version: str | None) -> None:
        """The first look tells a change too: nobody knows what happened between it and what the waiter knew before."""
        if not self.has_seen or self.version != version:
            self.changed.set()
        self.has_seen, self.version = True, version


class Watch:
    """Looks while somebody waits, and at no other time."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._waiters: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def on(self, thread: str) -> AsyncIterator[asyncio.Event]:
        """What is set at a change; whoever has seen it clears it."""
        waiter = _Waiter(thread)
        self._waiters.add(waiter)
        if self._looking is None:
            self._begin_looking()
        try:
            yield waiter.changed
        finally:
            self._waiters.discard(waiter)
            if not self._waiters and self._looking:
                looking, self._looking = self._looking, None
                await end([looking])

    def _begin_looking(self) -> None:
        """Of nobody's work: where one of those who wait gives its partition back, the others go on being told."""
        self._looking = asyncio.create_task(self._look_on(), name="watch threads", context=Context())
        self._looking.add_done_callback(self._looked, context=Context())

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            waiters = list(self._waiters)
            versions = await self._versions({waiter.thread for waiter in waiters})
            for waiter in waiters:
                waiter.see(versions.get(waiter.thread))

    def _looked(self, looking: asyncio.Task[None]) -> None:
        """
        Whatever ended it while somebody waits, those who wait look for themselves, are told by that, and it begins again.

        What is fatal, or a defect, is so to them as well: their own look raises it, and the branch of the error decides there.
        """
        if looking is not self._looking:
            return
        error = (None if looking.cancelled() else looking.exception()) or asyncio.CancelledError()
        log.error("watch.failed", error=type(error).__name__, at=place_of(error))
        for waiter in self._waiters:
            waiter.changed.set()
        self._begin_looking()
