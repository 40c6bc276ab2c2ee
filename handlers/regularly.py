"""Something that is done now and then, beside the work of a process, and never harms it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from streams.errors import FatalError, ProsaError
from streams.outage import Outage, place_of


async def regularly(failing: str, act: Callable[[], Awaitable[None]], pause: Callable[[float], float]) -> None:
    """
    Act for ever, with a pause that is told how long it took.

    What cannot be done now, for whatever reason, is told once, as `failing`, and done later. So every branch of the error tree is
    decided alike here, and a defect like a branch: the work beside which this runs needs none of it, and what is fatal to that
    work stops the process by itself.
    """
    outage = Outage(failing)
    while True:
        began = time.monotonic()
        try:
            await act()
            outage.over()
        except Exception as error:  # noqa: BLE001 - decided here by its branch
            outage.failed(error if isinstance(error, ProsaError) else _defect(error))
        await asyncio.sleep(pause(time.monotonic() - began))


def _defect(error: Exception) -> FatalError:
    """Where it was raised, and not its message, which may hold what must not be logged."""
    return FatalError(f"{type(error).__name__} at {place_of(error)}")
