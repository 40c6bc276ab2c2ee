"""One connection through a proxy: two pumps, each of which asks before every step what its way does to bytes now."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536
SLICES_A_SECOND = 20
ARRIVAL_SECONDS = 1.0
LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to bytes that go one way; as it stands here they pass."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: float | None = None
    is_held: bool = False
    """They wait, and arrive in the end: a wire that was cut for a while, and TCP sent again."""
    is_swallowed: bool = False
    """They are taken and gone; so is the end of the connection."""


class Line:
    """What a proxy tells its pumps about one way, and the moment at which that changes."""

    def __init__(self, jitter: Callable[[float], float]) -> None:
        self.way = Way()
        self.passed_bytes = 0
        self.bytes_left: int | None = None
        """How many more may pass before the connection is cut that carries the last one; None for any number."""
        self._jitter = jitter
        self._change = asyncio.Event()

    def switch(self, way: Way) -> None:
        self.way = way
        self.bytes_left = None
        self._change.set()
        self._change = asyncio.Event()

    @property
    def is_silent(self) -> bool:
        return self.way.is_swallowed or self.way.is_held

    async def changes(self, within_seconds: float | None) -> bool:
        """Wait so long at most; whether something was switched meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                return await self._change.wait()
        return False

    def delay_seconds(self) -> float:
        return self.way.delay_seconds + self._jitter(self.way.jitter_seconds)


@dataclass(eq=False)
class Pump:
    """Carries bytes one way."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    line: Line
    has_lost_bytes: bool = False
    """From then on nothing may pass any more: what follows would be taken for the middle of something else."""

    async def run(self) -> None:
        """Until the end has been passed on. Raises OSError where a side fails, and EOFError where the connection is to be cut."""
        while chunk := await self.reader.read(CHUNK_BYTES):
            await self._carry(chunk)
        while self.line.is_silent:
            await self.line.changes(None)
        if self.writer.can_write_eof() and not self.writer.is_closing():
            self.writer.write_eof()

    async def _carry(self, chunk: bytes) -> None:
        """A chunk waits for its delay; what comes meanwhile goes together as the next one."""
        if delay := self.line.delay_seconds():
            await self.line.changes(delay)
        while chunk:
            while self.line.way.is_held:
                await self.line.changes(None)
            if self.line.way.is_swallowed or self.has_lost_bytes:
                self.has_lost_bytes = True
                return
            rate = self.line.way.bytes_per_second
            slice_bytes = len(chunk) if rate is None else max(1, int(rate / SLICES_A_SECOND))
            await self._pass(chunk[:slice_bytes])
            chunk = chunk[slice_bytes:]
            if rate is not None:
                await self.line.changes(slice_bytes / rate)

    async def _pass(self, chunk: bytes) -> None:
        left = self.line.bytes_left
        allowed = chunk if left is None else chunk[:left]
        self.line.passed_bytes += len(allowed)
        self.writer.write(allowed)
        if left is not None:
            self.line.bytes_left = left - len(allowed)
            if left <= len(chunk):
                self.line.bytes_left = None
                raise EOFError
        await self.writer.drain()


@dataclass(eq=False)
class ProxiedConnection:
    """A client, the server, and a pump each way."""

    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    to_server: Line
    to_client: Line
    _pumps: list["asyncio.Task[None]"] = field(default_factory=list)

    async def run(self) -> None:
        """Until both sides have ended, or one has failed and the other may know."""
        pumps = [
            Pump(self.client[0], self.server[1], self.to_server),
            Pump(self.server[0], self.client[1], self.to_client),
        ]
        self._pumps = [asyncio.ensure_future(pump.run()) for pump in pumps]
        try:
            done, _ = await asyncio.wait(self._pumps, return_when=asyncio.FIRST_EXCEPTION)
            if any(isinstance(task.exception(), EOFError) for task in done):
                await self._let_arrive()
            elif any(task.exception() for task in done):
                await self._until_it_may_be_told()
        finally:
            for task in self._pumps:
                task.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            self.cut()

    async def _let_arrive(self) -> None:
        """What was still allowed reaches the client."""
        self.server[1].transport.abort()
        self.client[1].close()
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.client[1].wait_closed(), ARRIVAL_SECONDS)

    async def _until_it_may_be_told(self) -> None:
        while self.to_server.is_silent or self.to_client.is_silent:
            await self.to_server.changes(None)

    def cut(self) -> None:
        """End both sides in order: each reads an end of file."""
        for _, writer in (self.client, self.server):
            writer.transport.abort()

    def reset(self) -> None:
        """End both sides with a reset: each gets ECONNRESET."""
        for _, writer in (self.client, self.server):
            connection: socket.socket | None = writer.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            writer.transport.abort()
