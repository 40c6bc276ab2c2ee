"""A pause before the next step on a thread, which ends early where the thread needs something else meanwhile."""

import asyncio
from contextlib import suppress

from handlers.alone import waiting
from handlers.decide import SendStep, next_send
from handlers.journal import Journal
from projections.reader import View
from streams import leaving


async def wait_for_step(journal: Journal, thread: str, step: SendStep | None, seconds: float) -> View:
    """
    Wait, as long as what is folded into the thread leaves this what it needs next; the thread as it is then.

    Raises `LeaseLost` where its partition is being given back: the next owner decides anew, and waits if need be.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with waiting(), journal.watch.on(thread) as changed:
        while True:
            await _set_or_late(changed, until)
            changed.clear()
            view = await journal.look(thread)
            if loop.time() >= until or next_send(view.state, view.log_time_ms) != step:
                return view


async def _set_or_late(changed: asyncio.Event, until: float) -> None:
    async with leaving.limited(0.0):
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await changed.wait()
