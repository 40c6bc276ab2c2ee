"""A partition is given back once, however often that is told to the work on it."""

import asyncio

import pytest

from streams.errors import LeaseLost
from streams.leaving import Leaving


async def tell(leaving: Leaving) -> None:
    leaving.tell()


async def test_to_tell_it_again_bears_a_limit_that_has_just_run_out() -> None:
    """As the end of a drain may: the timer has fired, and whoever it cuts off has not been woken yet."""
    leaving = Leaving()
    leaving.tell()
    with pytest.raises(LeaseLost):
        async with leaving.limited(0.0):
            again = asyncio.create_task(tell(leaving))
            await asyncio.Event().wait()
    await again


async def test_a_limit_that_began_before_it_was_told_runs_from_then_on() -> None:
    leaving = Leaving()
    with pytest.raises(LeaseLost):
        async with leaving.limited(0.0):
            await asyncio.sleep(0.01)
            leaving.tell()
            await asyncio.Event().wait()
