"""Something that is done now and then, beside the work of a process, and never harms it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from streams.errors import FatalError, ProsaError
from streams.outage import Outage, place_of


async def regularly(failing: str, act: Callable[[], Awaitable[None]], pause: Callable[[float], float]) -> None:
    """
    Act for ever, with a pause that is told how long it took.

    What cannot be done now, for whatever reason, is told once, as `failing`, and done later.
    """
    outage = Outage(failing)
    while True:
        began = time.monotonic()
        try:
            await act()
            outage.over()
        except ProsaError as error:
            outage.failed(error)
        except Exception as error:  # noqa: BLE001 - a defect here must neither end the process nor this loop
            outage.failed(FatalError(f"{type(error).__name__} at {place_of(error)}"))
        await asyncio.sleep(pause(time.monotonic() - began))
