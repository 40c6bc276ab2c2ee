"""
A TCP proxy in front of one address, which a test can make fail in every way that a network does.

    async with Proxy(database_url) as proxy:      # in the loop of the test
        ... use proxy.url ...
        proxy.half_open(Towards.CLIENT)
        ...
        proxy.heal()

    with Proxy(database_url).in_thread() as proxy:  # beside a test that blocks; the same switches

Laws. A switch acts at once, on the connections that are there and on new ones, and stands until the next switch: two
faults never add up. After `heal` a new connection is as good as without a proxy. What a connection lost while half open
it never gets back, so it stays silent for ever, as where a middle box forgot it; its sides have to notice that by themselves.
"""

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from simulator.servers import free_port
from tests.harness.proxied_connection import Line, ProxiedConnection, Way

HOST = "127.0.0.1"
BACKLOG = 512
THREAD_SECONDS = 10.0


class Towards(StrEnum):
    """Which way bytes go."""

    SERVER = "server"
    CLIENT = "client"
    BOTH = "both"


class Proxy:
    """Listens on a free port of its own and connects each client to the target: a URL, or `host:port`."""

    def __init__(self, target: str, seed: int = 0) -> None:
        self._parts = urlsplit(target if "://" in target else f"tcp://{target}")
        self._random = random.Random(seed)  # noqa: S311 - repeatable
        self.port = free_port()
        self.accepted = 0
        """How many connections were taken so far, also those that were ended at once."""
        self._connections: set[ProxiedConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The target's URL by this proxy."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(self._parts._replace(netloc=f"{user}{at}{self.address}"))

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def passed_bytes(self) -> dict[Towards, int]:
        """How many bytes arrived each way so far."""
        return {Towards.SERVER: self._to_server.passed_bytes, Towards.CLIENT: self._to_client.passed_bytes}

    def lead_to(self, target: str) -> None:
        """New connections go to the address of this URL from now on; those that are there stay where they led."""
        user, at, _ = self._parts.netloc.rpartition("@")
        self._parts = self._parts._replace(netloc=f"{user}{at}{urlsplit(target).netloc.rpartition('@')[2]}")

    def heal(self) -> None:
        """Bytes pass, and new connections are taken."""
        self._switch(Way())

    def cut(self) -> None:
        """Every connection ends; a new one is taken and ended at once."""

        def end_all() -> None:
            self._is_cut = True
            for connection in list(self._connections):
                connection.cut()

        self._switch(Way(), then=end_all)

    def reset(self) -> None:
        """Every connection that is there gets a reset; new ones pass."""

        def reset_all() -> None:
            for connection in list(self._connections):
                connection.reset()

        self._switch(Way(), then=reset_all)

    def refuse(self) -> None:
        """Nobody listens: a new connection is refused. Those that are there go on."""

        def stop_listening() -> None:
            self._close_door()
            self._door = self._bound()  # keeps the port for us without listening

        self._switch(Way(), then=stop_listening)

    def delay(self, seconds: float, jitter_seconds: float = 0.0) -> None:
        """Each chunk takes so long each way, and up to `jitter_seconds` more."""
        self._switch(Way(delay_seconds=seconds, jitter_seconds=jitter_seconds))

    def throttle(self, bytes_per_second: float) -> None:
        """So many bytes pass, each way and on each connection."""
        self._switch(Way(bytes_per_second=bytes_per_second))

    def hold(self, towards: Towards = Towards.BOTH) -> None:
        """Nothing moves, nobody is told; what was held arrives after `heal`. New connections are taken and held too."""
        self._switch(Way(is_held=True), towards)

    def half_open(self, towards: Towards = Towards.BOTH) -> None:
        """Bytes that go this way are swallowed, and so is the end of a connection. New ones are taken and swallowed too."""
        self._switch(Way(is_swallowed=True), towards)

    def drop_after(self, bytes_to_client: int) -> None:
        """After so many more bytes towards clients, the connection that carries the last one is cut; others go on. Once."""
        self._switch(Way(), then=lambda: setattr(self._to_client, "bytes_left", bytes_to_client))

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._to_server, self._to_client = Line(self._jitter), Line(self._jitter)
        self._door = self._bound()
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close_door()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """The same proxy in a loop and a thread of its own; its switches may be used from any thread."""
        ready, is_over = threading.Event(), asyncio.Event()

        async def serve() -> None:
            async with self:
                ready.set()
                await is_over.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), name=f"proxy {self.port}", daemon=True)
        thread.start()
        assert ready.wait(THREAD_SECONDS), "the proxy did not start"
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(is_over.set)
            thread.join(THREAD_SECONDS)
            assert not thread.is_alive(), "the proxy did not end"

    def _jitter(self, seconds: float) -> float:
        return self._random.uniform(0, seconds) if seconds else 0.0

    def _switch(self, way: Way, towards: Towards = Towards.BOTH, then: Callable[[], None] = lambda: None) -> None:
        def change() -> None:
            self._is_cut = False
            self._listen()
            self._to_server.switch(way if towards is not Towards.CLIENT else Way())
            self._to_client.switch(way if towards is not Towards.SERVER else Way())
            then()

        if _running_loop() is self._loop:
            change()
        else:
            asyncio.run_coroutine_threadsafe(_as_coroutine(change), self._loop).result(THREAD_SECONDS)

    def _bound(self) -> socket.socket:
        door = socket.socket()
        door.setblocking(False)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((HOST, self.port))
        return door

    def _listen(self) -> None:
        """What listens already goes on."""
        self._door.listen(BACKLOG)
        self._loop.add_reader(self._door, self._accept)

    def _close_door(self) -> None:
        self._loop.remove_reader(self._door)
        self._door.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            client, _ = self._door.accept()
            client.setblocking(False)
            self.accepted += 1
            task = self._loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        client_side = await asyncio.open_connection(sock=client)
        try:
            if self._is_cut:
                return
            server_side = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            connection = ProxiedConnection(client_side, server_side, self._to_server, self._to_client)
            self._connections.add(connection)
            try:
                if not self._is_cut:
                    await connection.run()
            finally:
                self._connections.discard(connection)
                connection.cut()
        except OSError:
            return  # the target is away: to the client the connection ends
        finally:
            client_side[1].transport.abort()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None


async def _as_coroutine(change: Callable[[], None]) -> None:
    change()
