"""How we talk to Redis: a task that is cancelled ends, at whatever step of a command it is."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from streams.cancellation import end
from streams.engines.redis_connection import Client, connect, unavailable_on_failure
from streams.errors import LogUnavailable
from tests.harness.proxy import Proxy

ROUNDS = 400
MOST_STEPS = 40


async def _ask_for_ever(client: Client) -> None:
    while True:
        await client.ping()


async def test_no_cancellation_is_lost_in_a_command(redis_url: str) -> None:
    client = connect(redis_url, connections=1, timeout_seconds=5)
    try:
        for number in range(ROUNDS):
            task = asyncio.create_task(_ask_for_ever(client))
            for _ in range(number % MOST_STEPS):
                await asyncio.sleep(0)
            task.cancel()
            ended, _ = await asyncio.wait([task], timeout=1)
            await end([task])
            assert ended, f"lost at step {number % MOST_STEPS}"
    finally:
        await client.aclose()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_connection_that_was_reset_is_told_as_unavailable(
    redis_url: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Under uvloop too, which is what production runs on: a write to it raised RuntimeError, and ended the clock."""

    async def ask_while_it_is_reset() -> None:
        async with Proxy(redis_url) as proxy:
            client = connect(proxy.url, connections=1, timeout_seconds=2)
            for number in range(ROUNDS):
                try:
                    with unavailable_on_failure(client):
                        await client.ping()
                        asyncio.get_running_loop().call_soon(proxy.reset)
                        for _ in range(number % 10):
                            await asyncio.sleep(0)
                        await client.ping()
                except LogUnavailable:
                    continue
            await client.aclose()

    run(ask_while_it_is_reset())
