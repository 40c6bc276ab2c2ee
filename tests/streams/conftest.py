"""Every engine behind one face, for the suite that holds them all to one contract."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from streams.engines.memory import MemoryEventLog
from streams.engines.redis_connection import Client
from streams.engines.redis_log import FIELD, RedisEventLog, stream_key
from streams.log import EventLog

PARTITIONS = 4


@dataclass
class TickingClock:
    """Milliseconds that a test holds."""

    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Engine:
    """An engine's log, and what only a test does to it."""

    log: EventLog
    redis: Client | None = None
    clock: TickingClock = field(default_factory=TickingClock)

    async def append_bytes(self, partition: int, value: bytes) -> None:
        if isinstance(self.log, MemoryEventLog):
            self.log.append_bytes(partition, value)
        elif self.redis:
            await self.redis.execute_command("XADD", stream_key(partition), "*", FIELD, value)

    async def lose_tail(self, partition: int, keep: int) -> None:
        """Only so many entries stay, as after a failover to a copy that lagged."""
        if isinstance(self.log, MemoryEventLog):
            self.log.lose_tail(partition, keep)
        elif self.redis:
            key = stream_key(partition)
            entries = await self.redis.xrange(key)
            await self.redis.delete(key)
            for entry_id, fields in entries[:keep]:
                await self.redis.xadd(key, fields, id=entry_id)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Client]:
    client: Client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def redis_log(redis_url: str) -> AsyncIterator[RedisEventLog]:
    log = RedisEventLog(redis_url, partitions=PARTITIONS)
    await log.start()
    yield log
    await log.close()


@pytest.fixture(params=["memory", "redis"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    if request.param == "memory":
        clock = TickingClock()
        yield Engine(MemoryEventLog(PARTITIONS, clock), clock=clock)
        return
    url: str = request.getfixturevalue("redis_url")
    client: Client = Redis.from_url(url)
    log = RedisEventLog(url, partitions=PARTITIONS)
    await log.start()
    yield Engine(log, redis=client)
    await log.close()
    await client.aclose()


async def eventually(condition: Callable[[], bool | Awaitable[bool]], *, within_seconds: float = 10.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.005)
