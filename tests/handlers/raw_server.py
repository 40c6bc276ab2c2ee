"""An HTTP server by hand, since no well-behaved one hangs, resets, or breaks off in the middle."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Behaviour: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Behaves by script, one behaviour for each request; the last one stays."""

    script: list[Behaviour]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            await self.script[min(len(self.asked), len(self.script)) - 1](asked, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*script: Behaviour) -> AsyncIterator[RawServer]:
    raw = RawServer(list(script))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(raw.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


def answering(status: int, body: Any = b"", **headers: str) -> Behaviour:
    """A whole answer; what is not bytes is sent as JSON."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(_head(status, len(content), headers) + content)

    return behave


def breaking_off(status: int, body: bytes, promised: int) -> Behaviour:
    """An answer of which some is missing."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, promised, {}) + body)

    return behave


def stalling(status: int, promised: int = 100) -> Behaviour:
    """A status line, and then nothing."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, promised, {}))
        await writer.drain()
        await asyncio.Event().wait()

    return behave


def endless(status: int) -> Behaviour:
    """A body without end."""

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\r\n".encode())
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    return behave


async def hanging(_: Asked, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def resetting(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(length), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join([f"HTTP/1.1 {status} X\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"]).encode()
