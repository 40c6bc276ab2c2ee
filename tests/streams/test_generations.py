"""Once another generation of the log has begun, nobody appends to the old one, nor reads on in it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from streams.engines.redis_connection import Client
from streams.engines.redis_keys import META_KEY, retired_key, stream_key
from streams.engines.redis_log import RedisEventLog
from streams.errors import EpochChanged
from streams.log import Consumed
from streams.partitions import START
from tests.streams.conftest import PARTITIONS
from tests.streams.test_conformance import HERE, event, everything


async def switch(redis: Client, epoch: int = 2) -> None:
    """As a repair does it, in one step."""
    async with redis.pipeline(transaction=True) as pipeline:
        for partition in range(PARTITIONS):
            pipeline.rename(stream_key(partition, epoch - 1), retired_key(partition, epoch - 1))
            pipeline.xgroup_create(stream_key(partition, epoch), "responder", id="0", mkstream=True)
        pipeline.hset(META_KEY, "epoch", epoch)
        await pipeline.execute()


async def lengths(redis: Client, epoch: int) -> int:
    return int(sum([await redis.xlen(stream_key(partition, epoch)) for partition in range(PARTITIONS)]))


async def test_the_first_start_makes_every_stream_and_no_later_one_does(redis: Client, redis_url: str) -> None:
    log = RedisEventLog(redis_url, partitions=PARTITIONS)
    await log.start()
    assert await redis.exists(*map(stream_key, range(PARTITIONS))) == PARTITIONS
    assert (await log.marks("responder"), await log.heads()) == ({}, dict.fromkeys(range(PARTITIONS), START))
    await redis.delete(stream_key(0))
    await log.start()
    assert await redis.exists(stream_key(0)) == 0
    await log.close()


async def test_appends_go_to_the_new_generation_by_themselves(redis: Client, redis_log: RedisEventLog) -> None:
    await redis_log.append(event())
    await switch(redis)
    await redis_log.append(event())
    await switch(redis, 3)
    await redis_log.append(event())
    assert await lengths(redis, 3) == 1
    assert await redis.exists(*(stream_key(partition, epoch) for partition in range(PARTITIONS) for epoch in (1, 2))) == 0


async def test_nothing_acknowledged_is_outside_the_newest_generation_and_the_ones_before(
    redis: Client, redis_log: RedisEventLog
) -> None:
    appending = [asyncio.create_task(redis_log.append(event(body=str(n)))) for n in range(300)]
    await asyncio.sleep(0)
    await switch(redis)
    await asyncio.gather(*appending)
    retired = sum([await redis.xlen(retired_key(partition, 1)) for partition in range(PARTITIONS)])
    assert retired + await lengths(redis, 2) == 300
    assert await lengths(redis, 1) == 0


async def test_an_append_makes_a_deleted_stream_again_and_says_so(redis: Client, redis_log: RedisEventLog) -> None:
    await redis_log.append(event())
    await redis.delete(stream_key(HERE))
    with capture_logs() as lines:
        await redis_log.append(event(body="after"))
    assert [line["log_level"] for line in lines] == ["error"]
    assert len(await everything(redis_log)) == 1


async def test_an_append_to_a_server_that_was_emptied_is_durable_and_the_log_has_its_record_again(
    redis: Client, redis_log: RedisEventLog, redis_url: str
) -> None:
    await redis_log.append(event())
    await redis.flushdb()
    await redis_log.append(event(body="after"))
    joining = RedisEventLog(redis_url, partitions=PARTITIONS)
    await joining.join()
    assert (joining.epoch, len(await everything(joining))) == (1, 1)
    await joining.close()


async def test_who_served_a_generation_that_is_over_is_told_so_and_makes_nothing_of_it_again(
    redis: Client, redis_log: RedisEventLog
) -> None:
    place = await redis_log.append(event())
    await redis_log.committed("responder")
    await switch(redis)
    for step in (
        lambda: redis_log.disagreements({HERE: Consumed(place.position)}),
        lambda: redis_log.heads(),
        lambda: redis_log.committed("responder"),
        lambda: redis_log.commit("responder", {HERE: place.position}),
    ):
        with pytest.raises(EpochChanged):
            await step()
    assert await redis_log.read({HERE: START}, limit=9) == []
    assert await redis.exists(stream_key(HERE)) == 0
