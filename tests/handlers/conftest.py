"""A world for handlers: see `world`. They share one database, which is emptied before each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from projections.migrate import migrate
from tests.handlers.world import World, a_world


@pytest.fixture(scope="session")
def handlers_database_url(postgres_url: str) -> Iterator[str]:
    """A database with the newest schema, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    asyncio.run(_execute(postgres_url, f"CREATE DATABASE {name}"))
    url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    migrate(url)
    yield url
    asyncio.run(_execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest_asyncio.fixture
async def empty_database_url(handlers_database_url: str) -> str:
    """The same, with nothing in it."""
    await _empty(handlers_database_url)
    return handlers_database_url


@pytest_asyncio.fixture
async def world(empty_database_url: str) -> AsyncIterator[World]:
    async with a_world(empty_database_url) as made:
        yield made


async def _empty(url: str) -> None:
    tables = "checkpoints events threads conversations messages replies dead_letters skipped_events"
    await _execute(url, "; ".join(f"DELETE FROM prosa.{table}" for table in tables.split()))  # noqa: S608 - our own names


async def _execute(url: str, command: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()
