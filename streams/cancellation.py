"""Ending tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any

CANCEL_AGAIN_SECONDS = 0.2


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """
    Cancel these tasks, and return when all of them have ended, whatever they ended with.

    Once is not enough: before Python 3.12 `asyncio.wait_for` forgets a cancellation that meets its own end, and redis-py
    sends every command inside one.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
        await asyncio.gather(*done, return_exceptions=True)
