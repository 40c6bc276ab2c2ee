"""
A Postgres whose connections somebody else has taken, all of them.

A connection counts as soon as it has said who it is: it need not sign in, so that a hundred cost little.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

PROTOCOL = 196_608  # 3.0
AUTHENTICATION = b"R"
LOOK_SECONDS = 0.02
SLOTS_AT_MOST = 2_000
OTHERS = "pid <> pg_backend_pid() AND backend_type = 'client backend' AND state IS DISTINCT FROM 'starting'"


@asynccontextmanager
async def no_connection_left(url: str) -> AsyncIterator[None]:
    """
    53300 to every new connection to the server, also to a superuser's. The sessions that there were are ended.

    For a minute at most: then Postgres gives up those that do not sign in. One that slips in meanwhile is ended too.
    """
    administrator = await asyncpg.connect(url)
    try:
        async with AsyncExitStack() as taken:
            await _take_all(url, administrator, taken)
            taking = asyncio.create_task(_go_on_taking(url, administrator, taken))
            try:
                yield
            finally:
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
    finally:
        await administrator.close()


async def _go_on_taking(url: str, administrator: "asyncpg.Connection[asyncpg.Record]", taken: AsyncExitStack) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await _take_all(url, administrator, taken)


async def _take_all(url: str, administrator: "asyncpg.Connection[asyncpg.Record]", taken: AsyncExitStack) -> None:
    """Until one is refused, and nobody else has any."""
    for _ in range(SLOTS_AT_MOST):
        if not await _take_one(url, taken):
            ended = await administrator.fetch(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OTHERS}")  # noqa: S608
            if not ended:
                return
    raise AssertionError("this Postgres has too many connections to take them all")


async def _take_one(url: str, taken: AsyncExitStack) -> bool:
    """Whether there was one left."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    taken.callback(_abort, writer)
    words = f"user\0{parts.username}\0database\0{parts.path.lstrip('/')}\0\0".encode()
    writer.write(struct.pack("!ii", len(words) + 8, PROTOCOL) + words)
    is_in = False
    with suppress(ConnectionError):
        is_in = await reader.read(1) == AUTHENTICATION
    if not is_in:
        _abort(writer)
    return is_in


def _abort(writer: asyncio.StreamWriter) -> None:
    """The stack holds the writer by this: one that nobody holds closes its connection by itself."""
    writer.transport.abort()
