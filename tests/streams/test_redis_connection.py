"""How we talk to Redis: a task that is cancelled ends at whatever step it is, and who is refused by a replica asks anew."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from simulator.servers import EmbeddedValkey
from streams.cancellation import end
from streams.engines import redis_connection
from streams.engines.redis_connection import Client, connect, unavailable_on_failure
from streams.errors import LogUnavailable
from tests.harness.proxy import Proxy
from tests.harness.valkey_faults import no_replicas, out_of_memory, readonly
from tests.streams.conftest import eventually

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


async def refused(client: Client, code: str) -> None:
    with pytest.raises(LogUnavailable, match=code), unavailable_on_failure(client):
        await client.set("anything", 1)


async def test_who_is_refused_by_a_replica_asks_the_address_anew_and_so_does_everybody_of_the_process(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once only in a while: where the address leads to a replica for hours, connections are not opened for each command."""
    monkeypatch.setattr(redis_connection, "_left_at", {})
    monkeypatch.setattr(redis_connection, "MOVE_SECONDS", 3600.0)
    writer, reader = (connect(valkey.url, connections=1, timeout_seconds=5) for _ in range(2))
    first = [await client.client_id() for client in (writer, reader)]
    async with readonly(valkey.url):
        await refused(writer, "READONLY")
        anew = [await client.client_id() for client in (writer, reader)]
        assert set(anew).isdisjoint(first)
        await refused(writer, "READONLY")
        assert [await client.client_id() for client in (writer, reader)] == anew
    await writer.aclose()
    await reader.aclose()


async def test_a_command_in_flight_is_not_disturbed_when_the_address_is_left(
    valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "_left_at", {})
    client = connect(valkey.url, connections=2, timeout_seconds=5)
    in_flight = asyncio.create_task(client.execute_command("XREAD", "BLOCK", 4000, "STREAMS", "nothing", "$"))

    async def is_blocked() -> bool:
        return bool((await client.info("clients"))["blocked_clients"])

    await eventually(is_blocked)
    async with no_replicas(valkey.url):
        await refused(client, "NOREPLICAS")
    await client.xadd("nothing", {"any": "thing"})
    assert await in_flight, "the answer came on its own connection"
    await client.aclose()


async def test_the_right_server_that_cannot_write_is_not_left(valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_connection, "_left_at", {})
    client = connect(valkey.url, connections=1, timeout_seconds=5)
    first = await client.client_id()
    async with out_of_memory(valkey.url):
        await refused(client, "OOM")
        assert await client.client_id() == first
    await client.aclose()
