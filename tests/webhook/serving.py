"""The webhook on a real uvicorn and a free port, as `uvicorn webhook:app` serves it, and a client that hides nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from settings import Settings
from streams.log import EventLog
from tests.webhook.posts import BASE_URL, Post
from webhook.door import create_door
from webhook.limits import Limits

DEADLINE_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """HTTP/1.1 by hand, so that a test can send what no library would."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def post(self, post: Post) -> Answer:
        return await self.request("POST", post.path + (f"?{post.query}" if post.query else ""), post.body, post.headers)

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def request(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        fields = {"host": "prosa", "content-length": str(len(body)), "connection": "close", **(headers or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return parsed(await self.exchange("\r\n".join(lines).encode("latin-1") + body))

    async def exchange(self, sent: bytes) -> bytes:
        """Send these bytes and read until the server closes."""
        async with self.connection() as (reader, writer), asyncio.timeout(DEADLINE_SECONDS):
            writer.write(sent)
            return await reader.read()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()


def parsed(received: bytes) -> Answer:
    """The first answer in these bytes."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest)
    return Answer(int(first.split()[1]), headers, body[: int(headers.get("content-length", 0))])


def door_on(event_log: EventLog, limits: Limits | None = None) -> ASGIApp:
    return create_door(Settings(_env_file=None, public_base_url=BASE_URL), event_log, limits)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[Client]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        task = asyncio.create_task(server.serve([listener]))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers nothing to wait for
                    await asyncio.sleep(0.01)
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await task
