"""A partition is given back once, however often that is told to the work on it."""

import asyncio

import pytest

from streams.errors import LeaseLost
from streams.leaving import Leaving


async def tell(leaving: Leaving) -> None:
    leaving.tell()


async def wait_with_no_time_left(leaving: Leaving) -> None:
    """As soon as it is told. It is told within: where it was before, after the timer has fired and before this is woken."""
    async with leaving.limited(0.0):
        telling = asyncio.create_task(tell(leaving))
        try:
            await asyncio.Event().wait()
        finally:
            telling.result()


async def test_to_tell_it_again_bears_a_limit_that_has_just_run_out() -> None:
    """As the end of a drain may."""
    leaving = Leaving()
    leaving.tell()
    with pytest.raises(LeaseLost):
        await wait_with_no_time_left(leaving)


async def test_a_limit_that_began_before_it_was_told_runs_from_then_on() -> None:
    with pytest.raises(LeaseLost):
        await wait_with_no_time_left(Leaving())
