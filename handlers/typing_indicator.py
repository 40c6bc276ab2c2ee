"""Typing dots below the contact's message while the model works."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from streams.cancellation import end

REFRESH_SECONDS = 20.0
"""WhatsApp shows them for 25 seconds."""

ShowTyping: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]
"""Shows them once, below the message of this sid."""


@asynccontextmanager
async def typing_shown(show: ShowTyping | None, sid: str | None) -> AsyncIterator[None]:
    """Show them meanwhile, where the settings want it. They are an ornament: whatever goes wrong with them does not matter."""
    if show is None or sid is None:
        yield
        return
    task = asyncio.create_task(_show_again(show, sid), name="typing indicator")
    try:
        yield
    finally:
        await end([task])


async def _show_again(show: ShowTyping, sid: str) -> None:
    while True:
        await show(sid)
        await asyncio.sleep(REFRESH_SECONDS)
