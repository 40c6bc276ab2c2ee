"""A pause before the next step on a thread, which ends early where the thread needs something else meanwhile."""

import asyncio

from handlers.alone import waiting
from handlers.decide import SendStep, next_send
from handlers.journal import Journal
from projections.reader import View
from streams import leaving

LOOK_AGAIN_SECONDS = 2.0
"""A person who takes over waits no longer than this for a pause that is not theirs."""


async def wait_for_step(journal: Journal, thread: str, step: SendStep | None, seconds: float) -> View:
    """
    Wait, as long as this stays what the thread needs next; the thread as it is then.

    Raises `LeaseLost` where its partition is being given back: the next owner decides anew, and waits if need be.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with waiting():
        while True:
            await leaving.pause(min(LOOK_AGAIN_SECONDS, max(0.0, until - loop.time())))
            view = await journal.look(thread)
            if loop.time() >= until or next_send(view.state, view.log_time_ms) != step:
                return view
