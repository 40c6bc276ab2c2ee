"""A rate that several processes keep together, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from streams.engines.redis_rate_limit import AHEAD_SECONDS, RedisRateLimit
from streams.errors import LogUnavailable

KEY = "whatsapp:+14155238886"
PER_SECOND = 20.0
INTERVAL = 1 / PER_SECOND


@pytest.fixture
async def limits(redis_url: str) -> AsyncIterator[tuple[RedisRateLimit, RedisRateLimit]]:
    """Of two processes."""
    one, two = RedisRateLimit(redis_url, PER_SECOND), RedisRateLimit(redis_url, PER_SECOND)
    yield one, two
    await one.close()
    await two.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


async def reserve(limit: RedisRateLimit, count: int) -> None:
    for _ in range(count):
        assert await limit.reserve(KEY) is not None


async def test_two_processes_get_different_times_an_interval_apart(
    limits: tuple[RedisRateLimit, RedisRateLimit], client: Any
) -> None:
    """The server remembers when the next time is free: so many intervals after the first, unless nobody asked for a while."""
    began = await _microseconds(client)
    await asyncio.gather(*(reserve(limit, 8) for limit in limits))
    free_at = int(await client.get(f"prosa:rate:{KEY}"))
    assert free_at >= began + 16 * INTERVAL * 1_000_000


async def test_the_first_who_asks_need_not_wait(limits: tuple[RedisRateLimit, RedisRateLimit]) -> None:
    assert await limits[0].reserve(KEY) == 0


async def test_each_key_has_its_own_rate(limits: tuple[RedisRateLimit, RedisRateLimit]) -> None:
    await reserve(limits[0], 5)
    assert await limits[1].reserve("whatsapp:+14155238887") == 0


async def test_who_asks_when_the_next_second_is_taken_takes_nothing(redis_url: str, client: Any) -> None:
    limit = RedisRateLimit(redis_url, per_second=0.1)
    assert await limit.reserve(KEY) == 0
    taken = int(await client.get(f"prosa:rate:{KEY}"))
    assert taken > await _microseconds(client) + AHEAD_SECONDS * 1_000_000
    assert await limit.reserve(KEY) is None
    assert int(await client.get(f"prosa:rate:{KEY}")) == taken
    await limit.close()


async def test_a_servers_clock_that_was_set_back_stops_nobody(limits: tuple[RedisRateLimit, RedisRateLimit], client: Any) -> None:
    await client.set(f"prosa:rate:{KEY}", await _microseconds(client) + 3600 * 1_000_000)
    assert await limits[0].reserve(KEY) == 0
    wait = await limits[1].reserve(KEY)
    assert wait is not None
    assert 0 <= wait <= INTERVAL


async def test_nothing_is_kept_of_a_rate_that_nobody_uses(limits: tuple[RedisRateLimit, RedisRateLimit], client: Any) -> None:
    await reserve(limits[0], 3)
    assert 0 < await client.pttl(f"prosa:rate:{KEY}") <= (AHEAD_SECONDS + INTERVAL) * 1000


async def test_a_server_that_is_away_is_told_as_such(unused_tcp_port: int) -> None:
    limit = RedisRateLimit(f"redis://127.0.0.1:{unused_tcp_port}/0", PER_SECOND)
    with pytest.raises(LogUnavailable):
        await limit.reserve(KEY)
    await limit.close()


async def _microseconds(client: Any) -> int:
    seconds, microseconds = await client.time()
    return int(seconds) * 1_000_000 + int(microseconds)
