"""Each switch of the proxy does to connections what its name says, to those that are there and to new ones."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from simulator.servers import free_port
from tests.harness.proxy import Proxy, Towards
from tests.streams.conftest import eventually

SECONDS = 5.0
SILENCE_SECONDS = 0.15


@dataclass
class Echo:
    """A server that says again what it hears, and counts the ends of connections that it sees."""

    port: int = field(default_factory=free_port)
    ends: int = 0
    heard: bytes = b""
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            async with Proxy(f"127.0.0.1:{self.port}", seed=7) as proxy:
                yield proxy
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(ConnectionError):
            while heard := await reader.read(65_536):
                self.heard += heard
                writer.write(heard)
                await writer.drain()
        self.ends += 1
        writer.close()


@dataclass
class Client:
    """A connection to the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, words: bytes) -> bytes:
        """What comes back; an empty answer is the end."""
        self.writer.write(words)
        async with asyncio.timeout(SECONDS):
            return await self.reader.read(len(words))

    async def hears_nothing_after(self, words: bytes) -> None:
        self.writer.write(words)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                await self.reader.read(1)


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    try:
        yield client
    finally:
        client.writer.transport.abort()


async def test_healed_it_passes_everything_and_both_ends_each_way() -> None:
    echo, megabyte = Echo(), b"prosa" * 200_000
    async with echo.running() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(megabyte)
        writer.write_eof()
        async with asyncio.timeout(SECONDS):
            assert await reader.read() == megabyte
        assert echo.ends == 1
        writer.close()
        await eventually(lambda: proxy.open_connections == 0)
        assert proxy.passed_bytes == {Towards.SERVER: len(megabyte), Towards.CLIENT: len(megabyte)}


async def test_cut_ends_all_connections_and_each_new_one_until_healed() -> None:
    echo = Echo()
    async with echo.running() as proxy, connected(proxy) as old:
        assert await old.says(b"a") == b"a"
        proxy.cut()
        assert await old.reader.read() == b""
        await eventually(lambda: echo.ends == 1)
        async with connected(proxy) as new:
            assert await new.reader.read() == b""
        proxy.heal()
        async with connected(proxy) as healed:
            assert await healed.says(b"b") == b"b"


async def test_reset_is_a_reset_to_both_sides_and_new_connections_pass() -> None:
    echo = Echo()
    async with echo.running() as proxy, connected(proxy) as old:
        assert await old.says(b"a") == b"a"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await old.reader.read()
        await eventually(lambda: echo.ends == 1)
        async with connected(proxy) as new:
            assert await new.says(b"b") == b"b"


async def test_refused_is_refused_while_old_connections_go_on_and_the_port_stays_ours() -> None:
    async with Echo().running() as proxy, connected(proxy) as old:
        assert await old.says(b"a") == b"a"
        proxy.refuse()
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", proxy.port))
        assert await old.says(b"b") == b"b"
        proxy.heal()
        async with connected(proxy) as new:
            assert await new.says(b"c") == b"c"


async def test_a_delay_counts_each_way_and_ends_at_once_when_healed() -> None:
    async with Echo().running() as proxy, connected(proxy) as client:
        assert await client.says(b"a") == b"a"
        proxy.delay(0.1, jitter_seconds=0.05)
        began = time.monotonic()
        assert await client.says(b"b") == b"b"
        assert 0.2 <= time.monotonic() - began < 1.0
        proxy.delay(60)
        client.writer.write(b"c")
        await client.hears_nothing_after(b"d")
        proxy.heal()
        async with asyncio.timeout(SECONDS):
            assert await client.reader.readexactly(2) == b"cd"


async def test_one_seed_gives_one_jitter() -> None:
    delays = []
    for seed in (1, 1, 2):
        async with Proxy("127.0.0.1:1", seed) as proxy:
            proxy.delay(1, jitter_seconds=1)
            delays.append([proxy._to_client.delay_seconds() for _ in range(5)])
    assert delays[0] == delays[1] != delays[2]
    assert all(1 <= delay <= 2 for delay in delays[0])


async def test_throttled_bytes_arrive_slowly_and_all() -> None:
    async with Echo().running() as proxy, connected(proxy) as client:
        proxy.throttle(2_000)
        began = time.monotonic()
        client.writer.write(b"x" * 1_000)
        async with asyncio.timeout(SECONDS):
            assert await client.reader.readexactly(1_000) == b"x" * 1_000
        assert 0.45 <= time.monotonic() - began < 2.0


async def test_held_bytes_arrive_after_healing() -> None:
    echo = Echo()
    async with echo.running() as proxy, connected(proxy) as old:
        assert await old.says(b"a") == b"a"
        proxy.hold()
        await old.hears_nothing_after(b"b")
        assert echo.heard == b"a"
        async with connected(proxy) as new:
            await new.hears_nothing_after(b"c")
            proxy.heal()
            async with asyncio.timeout(SECONDS):
                assert await old.reader.read(1) == b"b"
                assert await new.reader.read(1) == b"c"


@pytest.mark.parametrize("towards", Towards)
async def test_half_open_swallows_bytes_and_tells_nobody(towards: Towards) -> None:
    echo = Echo()
    async with echo.running() as proxy, connected(proxy) as old:
        assert await old.says(b"a") == b"a"
        proxy.half_open(towards)
        await old.hears_nothing_after(b"b")
        async with connected(proxy) as new:
            await new.hears_nothing_after(b"c")
        assert (b"b" in echo.heard) == (towards is Towards.CLIENT)
        proxy.heal()
        await old.hears_nothing_after(b"d")
        async with connected(proxy) as healed:
            assert await healed.says(b"e") == b"e"
        if towards is not Towards.CLIENT:
            assert b"d" not in echo.heard


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_half_open_the_server_does_not_learn_that_a_client_is_gone(ending: str) -> None:
    echo = Echo()
    async with echo.running() as proxy:
        async with connected(proxy) as client:
            assert await client.says(b"a") == b"a"
            proxy.half_open(Towards.SERVER)
            if ending == "reset":
                client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        async with connected(proxy) as other:
            await other.hears_nothing_after(b"b")
        assert echo.ends == 0
        proxy.heal()
        await eventually(lambda: echo.ends == 2)


async def test_a_connection_drops_in_the_middle_of_an_answer_and_others_go_on() -> None:
    echo = Echo()
    async with echo.running() as proxy, connected(proxy) as client:
        proxy.drop_after(4)
        client.writer.write(b"answer")
        async with asyncio.timeout(SECONDS):
            assert await client.reader.read() == b"answ"
        await eventually(lambda: echo.ends == 1)
        async with connected(proxy) as other:
            assert await other.says(b"an answer") == b"an answer"


async def test_one_switch_ends_what_the_one_before_began() -> None:
    async with Echo().running() as proxy:
        for broken in (
            proxy.cut,
            proxy.refuse,
            lambda: proxy.drop_after(1),
            proxy.half_open,
            lambda: proxy.delay(60),
            proxy.hold,
        ):
            broken()
            proxy.throttle(1_000_000)
            async with connected(proxy) as client:
                assert await client.says(b"two") == b"two"


async def test_a_target_that_is_away_ends_the_connection() -> None:
    async with Proxy(f"127.0.0.1:{free_port()}") as proxy, connected(proxy) as client:
        assert await client.reader.read() == b""
        assert proxy.accepted == 1


def test_in_a_thread_it_has_the_same_switches() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Proxy(f"127.0.0.1:{server.getsockname()[1]}").in_thread() as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as client:
            behind, _ = server.accept()
            with behind:
                client.sendall(b"a")
                assert behind.recv(1) == b"a"
                proxy.reset()
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), SECONDS)


def test_a_url_keeps_everything_but_the_place() -> None:
    proxy = Proxy("postgresql://me:secret@127.0.0.1:5432/name?sslmode=disable")
    assert proxy.url == f"postgresql://me:secret@127.0.0.1:{proxy.port}/name?sslmode=disable"
    assert Proxy("http://127.0.0.1:80/path").url.startswith("http://127.0.0.1:")
