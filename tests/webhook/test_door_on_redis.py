"""The webhook on a real Redis or Valkey: stored means that it can be read, and an outage ends by itself."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio

from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_log import RedisEventLog
from streams.envelope import decode
from streams.events import MessageReceived
from streams.partitions import partition_of
from tests.webhook.posts import CONTACT, SENDER, SID, message
from tests.webhook.serving import DEADLINE_SECONDS, Client, door_on, serving

PARTITIONS = 8


async def stored(url: str) -> list[MessageReceived]:
    """What another reader of the log finds in the partition of the thread."""
    reader = RedisEventLog(url, partitions=PARTITIONS)
    await reader.start()
    records = await reader.read({partition_of(f"{SENDER}|{CONTACT}", PARTITIONS): 0}, limit=1000)
    await reader.close()
    return [data for record in records if isinstance(data := decode(record.value).data, MessageReceived)]


async def test_what_is_answered_200_can_be_read_from_the_log(redis_url: str) -> None:
    bodies = {f"message {number}" for number in range(50)}
    async with serving(door_on(RedisEventLog(redis_url, partitions=PARTITIONS))) as client:
        answers = await asyncio.gather(*(client.post(message(Body=body)) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    assert {data.body for data in await stored(redis_url)} == bodies


async def test_text_that_postgres_cannot_hold_reaches_the_log_without_it(redis_url: str) -> None:
    async with serving(door_on(RedisEventLog(redis_url, partitions=PARTITIONS))) as client:
        assert (await client.post(message(Body="a\x00b"))).status == 200
    assert [(data.sid, data.body) for data in await stored(redis_url)] == [(SID, "a\ufffdb")]


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server of the test's own that has an address and does not run."""
    server = EmbeddedValkey(tmp_path, free_port())
    server.start()
    server.stop()
    yield server
    server.stop()


async def test_a_restart_of_the_log_is_a_pause(stopped: EmbeddedValkey) -> None:
    async with serving(door_on(RedisEventLog(stopped.url, partitions=PARTITIONS))) as client:
        assert (await client.post(message(Body="before"))).status == 503
        await asyncio.to_thread(stopped.start)
        await until_stored(client, "first")
        await asyncio.to_thread(stopped.stop)
        assert (await client.post(message(Body="lost"))).status == 503
        await asyncio.to_thread(stopped.start)
        await until_stored(client, "second")
    assert [data.body for data in await stored(stopped.url)] == ["first", "second"]


async def test_a_paused_log_is_answered_503_in_time(redis_url: str) -> None:
    async with (
        redis.asyncio.Redis.from_url(redis_url) as control,
        serving(door_on(RedisEventLog(redis_url, partitions=PARTITIONS))) as client,
    ):
        assert (await client.post(message())).status == 200
        await control.client_pause(8000, all=False)
        async with asyncio.timeout(5):
            assert (await client.post(message())).status == 503
        await control.client_unpause()
        await until_stored(client, "after")


async def until_stored(client: Client, body: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await client.post(message(Body=body))).status != 200:  # noqa: ASYNC110 - the server is another process
            await asyncio.sleep(0.05)
