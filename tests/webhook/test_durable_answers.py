"""A 200 is a promise: whatever happens to the log's server or to the connection, what was acknowledged stands in the log."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_log import RedisEventLog
from tests.harness.proxy import Proxy, Towards
from tests.projections.read_model import PARTITIONS
from tests.webhook.posts import Post, message
from tests.webhook.serving import DEADLINE_SECONDS, Client, door_on, serving
from tests.webhook.test_repeated_posts import everything_in, sids_in
from webhook.limits import Limits

MESSAGES, AT_ONCE = 300, 8
QUICK = Limits(append_seconds=0.5)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server of the test's own."""
    server = EmbeddedValkey(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


def post_of(sid: str) -> Post:
    return message(MessageSid=sid, SmsSid=sid, SmsMessageSid=sid)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_was_acknowledged_is_there_though_the_server_is_killed_and_its_answers_are_lost(
    valkey: EmbeddedValkey, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - a test's own dice
    statuses: dict[str, int] = {}
    async with (
        Proxy(valkey.url, seed) as proxy,
        serving(door_on(RedisEventLog(proxy.url, partitions=PARTITIONS), QUICK)) as client,
    ):
        is_over = asyncio.Event()
        breaking = asyncio.create_task(break_again_and_again(valkey, proxy, dice, is_over))
        turns = asyncio.Semaphore(AT_ONCE)

        async def post(sid: str) -> None:
            async with turns:
                statuses[sid] = (await client.post(post_of(sid))).status

        await asyncio.gather(*(post(f"SM{number:032x}") for number in range(MESSAGES)))
        is_over.set()
        await breaking
        stored = sids_in(await everything_in(valkey.url))

        assert set(statuses.values()) == {200, 503}
        acknowledged = {sid for sid, status in statuses.items() if status == 200}
        refused = set(statuses) - acknowledged
        assert acknowledged <= set(stored)
        assert set(stored.values()) == {1}, "nobody appends twice what was posted once"
        await until_ready(client)
        assert {(await client.post(post_of(sid))).status for sid in refused} == {200}
    assert set(sids_in(await everything_in(valkey.url))) == set(statuses)


async def break_again_and_again(valkey: EmbeddedValkey, proxy: Proxy, dice: random.Random, is_over: asyncio.Event) -> None:
    """Kills of the server, connections cut at an answer, answers swallowed, nobody listening; and good moments between them."""
    while not is_over.is_set():
        match dice.randrange(5):
            case 0:
                valkey.process.kill()
                await asyncio.to_thread(valkey.process.wait)
                await asyncio.to_thread(valkey.start)
            case 1 | 2:
                proxy.drop_after(dice.randint(1, 20))
            case 3:
                proxy.half_open(Towards.CLIENT)
            case 4:
                proxy.refuse()
        await until_set(is_over, dice.uniform(0.02, 0.1))
        proxy.heal()
        await until_set(is_over, dice.uniform(0.02, 0.1))


async def test_an_answer_that_is_lost_on_its_way_from_the_log_is_no_200_and_the_retry_counts_once(valkey: EmbeddedValkey) -> None:
    async with Proxy(valkey.url) as proxy, serving(door_on(RedisEventLog(proxy.url, partitions=PARTITIONS), QUICK)) as client:
        await until_ready(client)
        proxy.half_open(Towards.CLIENT)
        assert (await client.post(post_of("SM1"))).status == 503
        proxy.reset()
        assert sids_in(await everything_in(valkey.url)) == {"SM1": 1}
        await until_ready(client)
        assert (await client.post(post_of("SM1"))).status == 200


async def until_ready(client: Client) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await client.get("/health/ready")).status != 200:  # noqa: ASYNC110 - the server is another process
            await asyncio.sleep(0.02)


async def until_set(event: asyncio.Event, seconds: float) -> None:
    await asyncio.wait([asyncio.create_task(event.wait())], timeout=seconds)
