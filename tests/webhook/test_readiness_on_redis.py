"""Ready is who can store: the webhook says 503 as long as the server of its log refuses writes, and whose answer that is."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from redis.asyncio import Redis

from simulator.servers import EmbeddedValkey
from streams.engines.redis_log import RedisEventLog
from tests.harness.valkey_faults import misconfigured, no_replicas, out_of_memory, readonly
from tests.streams.conftest import eventually
from tests.webhook.posts import message
from tests.webhook.serving import Client, door_on, serving

PARTITIONS = 8

Break = Callable[[EmbeddedValkey], AbstractAsyncContextManager[None]]

REFUSALS: dict[str, Break] = {
    "READONLY": lambda valkey: readonly(valkey.url),
    "OOM": lambda valkey: out_of_memory(valkey.url),
    "MISCONF": misconfigured,
    "NOREPLICAS": lambda valkey: no_replicas(valkey.url),
}


async def is_ready(client: Client) -> bool:
    return (await client.get("/health/ready")).status == 200


@pytest.mark.parametrize("code", REFUSALS)
async def test_the_webhook_is_not_ready_while_the_log_refuses_writes_whether_anybody_posts_or_not(
    valkey: EmbeddedValkey, code: str
) -> None:
    async with serving(door_on(RedisEventLog(valkey.url, partitions=PARTITIONS))) as client:
        assert (await client.post(message())).status == 200
        assert await is_ready(client)
        async with REFUSALS[code](valkey):
            for _ in range(2):
                unready = await client.get("/health/ready")
                assert unready.status == 503
                assert f"({code}: ".encode() in unready.body
                assert (await client.post(message())).status == 503
            assert (await client.get("/health/live")).status == 200
        await eventually(lambda: is_ready(client))
        assert (await client.post(message())).status == 200


async def test_to_ask_whether_it_is_ready_writes_nothing(valkey: EmbeddedValkey) -> None:
    """However often: the append-only file grows by nothing, and nothing waits for a disk."""
    async with serving(door_on(RedisEventLog(valkey.url, partitions=PARTITIONS))) as client, Redis.from_url(valkey.url) as redis:
        assert await is_ready(client)

        async def written() -> tuple[int, int]:
            return int((await redis.info("persistence"))["aof_current_size"]), int(await redis.dbsize())

        before = await written()
        for _ in range(20):
            assert await is_ready(client)
        assert await written() == before
