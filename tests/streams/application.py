"""A FastStream application of two groups that notes in Redis what it handled; run by tests as real processes."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence

from faststream import FastStream
from faststream.redis import RedisBroker
from redis.asyncio import Redis

from streams.consumer import BatchConsumer, Delivery, GroupConsumer
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_ownership import RedisOwnership
from streams.engines.redis_subscriber import subscribe
from streams.events import MessageReceived
from streams.log import Record
from streams.outage import until_available
from streams.retry import RetryPolicy

PARTITIONS = 4
HANDLED_KEY = "test:handled"
PROJECTED_KEY = "test:projected"
POSITIONS_KEY = "test:positions"
FAIL_KEY = "test:fail"
KILL_KEY = "test:kill"

url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
lease_seconds = float(os.environ.get("LEASE_SECONDS", "1"))
client = Redis.from_url(url)
log = RedisEventLog(url, partitions=PARTITIONS)
ownership = RedisOwnership(url, partitions=PARTITIONS, lease_seconds=lease_seconds)


async def positions(partitions: Sequence[int]) -> dict[int, int]:
    found = await client.hmget(POSITIONS_KEY, [str(partition) for partition in partitions])
    return {partition: int(value or 0) for partition, value in zip(partitions, found, strict=True)}


async def respond(delivery: Delivery) -> None:
    """Answers what contacts write."""
    assert isinstance(delivery.event.data, MessageReceived)
    body = delivery.event.data.body
    if await client.srem(FAIL_KEY, body):
        raise ValueError(body)
    await asyncio.sleep(0.01)
    await client.rpush(HANDLED_KEY, f"{os.getpid()}/{int(delivery.isolated)}/{delivery.event.subject}/{body}")
    if await client.sismember(KILL_KEY, body):
        os.kill(os.getpid(), signal.SIGKILL)


async def project(records: Sequence[Record]) -> None:
    """Folds the log into the read model."""
    async with client.pipeline(transaction=True) as pipeline:
        for record in records:
            pipeline.rpush(PROJECTED_KEY, f"{record.partition} {record.position}")
            pipeline.hset(POSITIONS_KEY, str(record.partition), record.position)
        await pipeline.execute()


responder = GroupConsumer(
    log,
    ownership,
    group="responder",
    names=frozenset({MessageReceived.name}),
    retry=RetryPolicy(base_seconds=0.01),
    drain_seconds=5,
)
projector = BatchConsumer(log, ownership, group="projector", positions=positions)

broker = RedisBroker(url, logger=logging.getLogger("faststream"))
subscribe(broker, projector, project)
subscribe(broker, responder, respond, title="prosa.log:responder", description="Answers.")
app = FastStream(broker, logger=logging.getLogger("faststream"))


@app.on_startup
async def open_log() -> None:
    await until_available(log.start, "the log does not answer")


@app.after_startup
async def claim() -> None:
    await ownership.start()


@app.on_shutdown
async def give_back() -> None:
    await ownership.stop()


@app.after_shutdown
async def close() -> None:
    await log.close()
    await client.aclose()
