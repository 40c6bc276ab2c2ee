"""Tasks end when they are told to."""

import asyncio
from contextlib import suppress

from streams.cancellation import end


async def test_a_task_that_missed_its_cancellation_is_cancelled_again() -> None:
    waiting = asyncio.Event()

    async def deaf_once() -> None:
        with suppress(asyncio.CancelledError):
            waiting.set()
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    task = asyncio.create_task(deaf_once())
    await waiting.wait()
    async with asyncio.timeout(5):
        await end([task])
    assert task.cancelled()


async def test_whatever_the_tasks_ended_with_does_not_matter() -> None:
    async def fails() -> None:
        raise ValueError

    async with asyncio.timeout(5):
        await end([asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(0))])
    await end([])
