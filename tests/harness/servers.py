"""Redis and Postgres for many small systems: a database of each for every system, made in a moment and gone with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from redis.asyncio import Redis

from projections.migrate import migrate
from simulator.servers import EmbeddedPostgres, EmbeddedValkey, free_port

REDIS_DATABASES = 16
TEMPLATE = "harness_template"


@dataclass(frozen=True, slots=True)
class Stores:
    """Where one system keeps its log and its read model. A password stands in both: not for logs."""

    redis_url: str
    database_url: str


@dataclass
class Servers:
    """Both servers, from outside; `valkey` and `postgres` are there where they are ours to stop, pause and restart."""

    redis_url: str
    postgres_url: str
    valkey: EmbeddedValkey | None = None
    postgres: EmbeddedPostgres | None = None
    _free: list[int] = field(default_factory=lambda: list(range(1, REDIS_DATABASES)))

    @asynccontextmanager
    async def stores(self) -> AsyncIterator[Stores]:
        """An empty log and an empty read model with the newest schema."""
        number, name = self._free.pop(0), f"harness_{uuid4().hex}"
        stores = Stores(_with_path(self.redis_url, str(number)), _with_path(self.postgres_url, name))
        try:
            await _flush(stores.redis_url)
            await _administer(self.postgres_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            yield stores
            await _flush(stores.redis_url)
            await _administer(self.postgres_url, f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            self._free.append(number)


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """
    Both embedded servers, for as long as this lasts.

    To be entered in the main thread: the servers end with the thread that started them.
    """
    valkey = EmbeddedValkey(directory / "valkey", free_port())
    postgres = EmbeddedPostgres(directory / "postgres", free_port())
    try:
        valkey.start()
        postgres.start()
        for command in (f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}"):
            _elsewhere(partial(asyncio.run, _administer(postgres.url, command)))
        _elsewhere(lambda: migrate(_with_path(postgres.url, TEMPLATE)))
        yield Servers(valkey.url, postgres.url, valkey, postgres)
    finally:
        postgres.stop()
        valkey.stop()


def _with_path(url: str, path: str) -> str:
    return urlsplit(url)._replace(path=f"/{path}").geturl()


async def _flush(url: str) -> None:
    async with Redis.from_url(url) as client:
        await client.flushdb()


async def _administer(url: str, command: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()


def _elsewhere(work: Callable[[], object]) -> None:
    """In a thread without an event loop, since it runs one of its own."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()
