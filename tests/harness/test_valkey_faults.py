"""Each fault shows as what it is called, ends with its block, and loses what it is meant to lose and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from simulator.servers import EmbeddedValkey, free_port
from tests.harness import valkey_faults as faults
from tests.harness.append_only_file import cut_appends
from tests.harness.own_servers import kill, start
from tests.streams.conftest import eventually

STREAM, GROUP = "log", "group"
SECONDS = 0.4
ACKNOWLEDGED = 50

Break = Callable[[EmbeddedValkey], AbstractAsyncContextManager[None]]


@pytest.fixture
async def client(valkey: EmbeddedValkey) -> AsyncIterator[Any]:
    async with connected(valkey) as client:
        await client.flushall()
        for number in range(ACKNOWLEDGED):
            await client.xadd(STREAM, {"number": number})
        await client.xgroup_create(STREAM, GROUP, "0")
        await client.set("lease", "owner", px=60_000)
        yield client


@asynccontextmanager
async def connected(valkey: EmbeddedValkey, timeout_seconds: float = 5, url: str = "") -> AsyncIterator[Any]:
    """It tries a second time where its connection turns out to have ended."""
    again = Retry(NoBackoff(), 1)
    async with Redis.from_url(url or valkey.url, decode_responses=True, socket_timeout=timeout_seconds, retry=again) as client:
        yield client


async def everything(client: Any) -> tuple[Any, Any, Any]:
    return await client.xrange(STREAM), await client.xinfo_groups(STREAM), await client.get("lease")


async def error_of(client: Any) -> str:
    """The first word of what an append is answered with; nothing where it is accepted."""
    try:
        await client.xadd(STREAM, {"number": "new"})
    except RedisConnectionError as error:
        return "LOADING" if "loading" in str(error).lower() else "no connection"
    except RedisError as error:
        return str(getattr(error, "status_code", None) or str(error).partition(" ")[0])
    return ""


REFUSALS: dict[str, Break] = {
    "READONLY": lambda valkey: faults.readonly(valkey.url),
    "NOREPLICAS": lambda valkey: faults.no_replicas(valkey.url),
    "OOM": lambda valkey: faults.out_of_memory(valkey.url),
    "MISCONF": faults.misconfigured,
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_write_is_refused_by_that_name_a_read_is_not_and_nothing_is_lost(
    valkey: EmbeddedValkey, client: Any, name: str
) -> None:
    before, settings = await everything(client), await client.config_get("*")
    for _ in range(2):
        async with REFUSALS[name](valkey):
            assert [await error_of(client) for _ in range(3)] == [name] * 3
            assert len(await client.xrange(STREAM)) == ACKNOWLEDGED
        assert await everything(client) == before
        assert await client.config_get("*") == settings
    assert await error_of(client) == ""


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_is_refused_is_accepted_again_though_the_test_fails(valkey: EmbeddedValkey, client: Any, name: str) -> None:
    with pytest.raises(ValueError, match="the test"):
        async with REFUSALS[name](valkey):
            raise ValueError("the test")
    assert await error_of(client) == ""


@pytest.mark.parametrize("away", [faults.shut_down, faults.killed])
async def test_a_server_that_is_away_comes_back_with_everything(valkey: EmbeddedValkey, client: Any, away: Break) -> None:
    before = await everything(client)
    async with away(valkey):
        assert await error_of(client) == "no connection"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", valkey.port)
    assert await everything(client) == before


async def test_a_server_that_hangs_takes_connections_and_answers_nobody(valkey: EmbeddedValkey, client: Any) -> None:
    before = await everything(client)
    async with faults.hung(valkey), connected(valkey, timeout_seconds=0.2) as new:
        _, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
        writer.close()
        with pytest.raises(RedisError, match="Timeout"):
            await new.ping()
    assert await everything(client) == before


async def test_a_server_that_loads_says_so_for_about_as_long_as_asked(valkey: EmbeddedValkey, client: Any) -> None:
    before, began = await everything(client), time.monotonic()
    async with faults.loading(valkey, 1.5), connected(valkey) as new:

        async def says_so() -> bool:
            return await error_of(new) == "LOADING"

        await eventually(says_so)
    assert 1.0 < time.monotonic() - began < 10
    assert await everything(client) == before
    assert await client.keys("*padding*") == []
    assert await client.config_get("key-load-delay") == {"key-load-delay": "0"}


async def test_paused_writes_wait_while_reads_go_on_and_end_with_the_block(valkey: EmbeddedValkey, client: Any) -> None:
    async with faults.writes_paused(valkey.url, 60), connected(valkey) as writer:
        write = asyncio.create_task(error_of(writer))
        assert await client.xlen(STREAM) == ACKNOWLEDGED
        assert not write.done()
        async with faults.writes_paused(valkey.url, 60):
            pass
        assert await write == ""
    assert await client.xlen(STREAM) == ACKNOWLEDGED + 1


async def test_paused_altogether_nobody_is_answered_until_it_is_over(valkey: EmbeddedValkey, client: Any) -> None:
    began = time.monotonic()
    async with faults.everything_paused(valkey.url, SECONDS):
        assert await client.xlen(STREAM) == ACKNOWLEDGED
        assert time.monotonic() - began >= SECONDS * 0.9


async def test_all_connections_end_and_new_ones_are_taken(valkey: EmbeddedValkey, client: Any) -> None:
    async with connected(valkey) as other:
        identity = await other.client_id()
        assert await faults.end_clients(valkey.url) >= 2
        assert await client.client_id() > identity


async def test_tampered_fsync_is_put_right_again(valkey: EmbeddedValkey, client: Any) -> None:
    async with faults.without_fsync(valkey.url, "everysec"):
        assert await client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert await error_of(client) == ""
    assert await client.config_get("appendfsync") == {"appendfsync": "always"}


async def test_a_cut_tail_loses_the_last_appends_and_no_others(tmp_path: Path) -> None:
    valkey = EmbeddedValkey(tmp_path / "valkey", free_port())
    await start(valkey)
    try:
        async with connected(valkey) as client:
            for number in range(ACKNOWLEDGED):
                await client.xadd(STREAM, {"number": number})
            before = await client.xrange(STREAM)
            assert await faults.cut_tail(valkey, lost_bytes=1) == 1
            assert await client.xrange(STREAM) == before[:-1]
            assert await faults.cut_tail(valkey, percent=20) > 100
            after = await client.xrange(STREAM)
            assert len(after) in range(int(ACKNOWLEDGED * 0.7), int(ACKNOWLEDGED * 0.9))
            assert after == before[: len(after)]
    finally:
        valkey.stop()


async def test_of_one_database_a_share_of_the_appends_is_cut_off(tmp_path: Path) -> None:
    """Those before it was emptied last are not counted, nor are those of others."""
    valkey = EmbeddedValkey(tmp_path / "valkey", free_port())
    await start(valkey)
    ours, theirs = (valkey.url.removesuffix("/0") + f"/{number}" for number in (2, 3))
    share_of_the_rest = (ACKNOWLEDGED - 1) // 4
    try:
        async with connected(valkey, url=ours) as client, connected(valkey, url=theirs) as other:
            await client.xadd(STREAM, {"number": -1})
            await client.flushdb()
            await other.xadd(STREAM, {"number": -1})
            for number in range(ACKNOWLEDGED):
                await client.xadd(STREAM, {"number": number})
            before = await client.xrange(STREAM)
            for share, lost in ((0.0, 1), (0.25, share_of_the_rest), (1.0, ACKNOWLEDGED - 1 - share_of_the_rest)):
                left = await client.xlen(STREAM)
                await kill(valkey)
                assert cut_appends(valkey, ours, share) == (lost, left)
                await start(valkey)
                assert await client.xrange(STREAM) == before[: left - lost]
            assert await other.xlen(STREAM) == 1
    finally:
        valkey.stop()


async def test_a_flushed_database_leaves_its_neighbours_and_a_flushed_server_nobody(valkey: EmbeddedValkey, client: Any) -> None:
    neighbour = valkey.url.removesuffix("/0") + "/1"
    async with Redis.from_url(neighbour) as other:
        await other.set("theirs", "there")
        await faults.flush_database(valkey.url)
        assert (await client.dbsize(), await other.dbsize()) == (0, 1)
        await faults.flush_server(valkey.url)
        assert await other.dbsize() == 0


async def test_a_stream_or_a_group_is_gone_and_nothing_else(valkey: EmbeddedValkey, client: Any) -> None:
    await faults.destroy_group(valkey.url, STREAM, GROUP)
    with pytest.raises(RedisError, match="NOGROUP"):
        await client.xreadgroup(GROUP, "consumer", {STREAM: ">"})
    assert await client.xlen(STREAM) == ACKNOWLEDGED
    await faults.delete_stream(valkey.url, STREAM)
    assert await client.keys("*") == ["lease"]
