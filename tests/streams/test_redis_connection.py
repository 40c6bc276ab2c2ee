"""How we talk to Redis: a task that is cancelled ends, at whatever step of a command it is."""

import asyncio

from streams.cancellation import end
from streams.engines.redis_connection import Client, connect

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
