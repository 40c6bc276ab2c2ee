"""A transaction pooler: between two transactions a client may find itself on any server connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

READY_FOR_QUERY = b"Z"
IDLE = b"I"


class Line(NamedTuple):
    """A connection to Postgres."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass
class TransactionPooler:
    """
    Each client signs in on a server connection of its own; from then on the idle ones go round.

    At every end of a transaction the client takes the connection that has been idle longest, and leaves its own behind. So
    nothing that belongs to a session survives a transaction, as behind Supabase's port 6543.
    """

    url: str
    swaps: int = 0
    port: int = 0
    _idle: list[Line] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def pooled_url(self) -> str:
        parts = urlsplit(self.url)
        user, _, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}", query="sslmode=disable"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TransactionPooler"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for line in self._idle:
                line.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        line: Line | None = await self._connected()
        try:
            while data := await reader.read(65_536):
                if line is None:
                    line = self._idle.pop(0) if self._idle else await self._connected()
                line.writer.write(data)
                if data[:1] == b"X":
                    break
                if await self._answered(line, reader, writer):
                    self._idle.append(line)
                    line, self.swaps = None, self.swaps + 1
        finally:
            writer.close()
            if line is not None:
                line.writer.close()

    async def _connected(self) -> Line:
        parts = urlsplit(self.url)
        return Line(*await asyncio.open_connection(parts.hostname, parts.port))

    async def _answered(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass on both ways until the server is ready for a query; whether the transaction is over then."""
        sending = asyncio.create_task(self._send_on(reader, line.writer))
        try:
            while True:
                head = await line.reader.readexactly(5)
                body = await line.reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                if head[:1] == READY_FOR_QUERY:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
                writer.write(head + body)
                await writer.drain()
                if head[:1] == READY_FOR_QUERY:
                    return body == IDLE
        finally:
            sending.cancel()

    async def _send_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
