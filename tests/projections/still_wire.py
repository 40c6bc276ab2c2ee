"""A wire to Postgres on which a client falls silent as one that is paused does: in the middle of a statement, if so wanted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536


class StillWire:
    """Passes everything on until it is told after how many more of the client's chunks to stand still."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._left: int | None = None
        self._goes_on = asyncio.Event()
        self.stands = asyncio.Event()
        self.url = ""

    def stand_after(self, chunks: int) -> None:
        self._left = chunks

    def go_on(self) -> None:
        self._left = None
        self._goes_on.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["StillWire"]:
        server = await asyncio.start_server(self._serve, HOST, 0)
        user, at, _ = self._target.netloc.rpartition("@")
        self.url = self._target._replace(netloc=f"{user}{at}{HOST}:{server.sockets[0].getsockname()[1]}").geturl()
        try:
            yield self
        finally:
            self.go_on()
            server.close()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            server, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)
            await asyncio.gather(self._up(client, to_server), self._down(server, to_client), return_exceptions=True)

    async def _up(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while chunk := await client.read(CHUNK_BYTES):
            if self._left == 0:
                self.stands.set()
                await self._goes_on.wait()
            elif self._left is not None:
                self._left -= 1
            to_server.write(chunk)
            await to_server.drain()
        to_server.close()

    async def _down(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while chunk := await server.read(CHUNK_BYTES):
            to_client.write(chunk)
            await to_client.drain()
        to_client.close()
