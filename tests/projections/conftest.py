"""A read model on real Postgres, and a projector that fills it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from projections.database import Database
from projections.migrate import migrate
from tests.projections.read_model import Projecting, empty

_Argument = TypeVar("_Argument")


@pytest.fixture(scope="session")
def migrated_url(postgres_url: str) -> Iterator[str]:
    """A database with the newest schema, for all tests that do not care how it got there."""
    name = f"read_model_{uuid4().hex}"
    _elsewhere(asyncio.run, _execute(postgres_url, f"CREATE DATABASE {name}"))
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    _elsewhere(migrate, url)
    yield url
    _elsewhere(asyncio.run, _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def read_model_url(migrated_url: str) -> str:
    """A database with the newest schema and nothing in it."""
    database = Database(migrated_url)
    await empty(database)
    await database.close()
    return migrated_url


@pytest.fixture
async def database(read_model_url: str) -> AsyncIterator[Database]:
    database = Database(read_model_url, max_connections=4)
    yield database
    await database.close()


@pytest.fixture
def projecting(database: Database) -> Projecting:
    return Projecting(database)


async def _execute(url: str, command: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()


def _elsewhere(work: Callable[[_Argument], object], argument: _Argument) -> None:
    """Not in the tests' own thread, whose event loop is pytest's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work, argument).result()
