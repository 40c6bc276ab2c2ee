"""The connection to Postgres: one pool per process, and SQL from files."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from projections.postgres_errors import sorted_errors
from streams.errors import ConfigurationError, ReadModelUnavailable

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
"""A connection of the pool."""

SCHEMA = "prosa"

TRANSACTION_POOLER_PORT = 6543
"""Supabase's transaction pooler; behind it no prepared statement outlives its transaction."""

COMMAND_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 2.0
SILENCE_TIMEOUT_SECONDS = 5.0
"""For what Postgres answers at once, so that a connection on which nothing arrives any more is given up soon."""

_READING = f"BEGIN READ ONLY; SET LOCAL search_path = {SCHEMA}"
_WRITING = f"""
BEGIN; SET LOCAL search_path = {SCHEMA}; SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '30s'
"""
"""Who writes waits for a lock as long as somebody at work may need it, and does not keep its own when it falls silent."""


@cache
def sql(name: str) -> str:
    """The statement in `sql/NAME.sql`."""
    return files("projections").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


class Database:
    """A pool that is opened at first use and connects again after the server was away."""

    def __init__(self, url: str, *, max_connections: int = 8) -> None:
        self._url = url
        self._max_connections = max_connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """
        One transaction; everything inside is written, or nothing. It may be cancelled at any time.

        Reads use one too: a transaction pooler keeps a statement and its execution together only inside one. Raises
        `ReadModelUnavailable` and `ConfigurationError`; after the former nobody knows whether it was committed.
        """
        with sorted_errors(self._url):
            pool = await self._opened()
            async with _acquired(pool) as connection, _transaction(connection, readonly=readonly):
                yield connection

    async def close(self) -> None:
        """Let every transaction end, for a moment; then cut them off."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_SECONDS)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._max_connections,
                    command_timeout=COMMAND_TIMEOUT_SECONDS,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    statement_cache_size=0 if _is_transaction_pooler(self._url) else 100,
                    reset=_leave_as_it_is,
                )
            return self._pool


def _is_transaction_pooler(url: str) -> bool:
    try:
        return urlsplit(url).port == TRANSACTION_POOLER_PORT
    except ValueError:
        raise ConfigurationError("DATABASE_URL: it cannot be read") from None


@asynccontextmanager
async def _acquired(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection of the pool. Raises `ReadModelUnavailable` where it, or the pool, is gone."""
    try:
        async with pool.acquire(timeout=COMMAND_TIMEOUT_SECONDS) as connection:
            try:
                yield connection
            except asyncpg.InterfaceError as error:
                if _is_gone(connection):
                    raise ReadModelUnavailable(type(error).__name__) from error
                raise
    except asyncpg.InterfaceError as error:
        if pool.is_closing():
            raise ReadModelUnavailable(type(error).__name__) from error
        raise


def _is_gone(connection: Connection) -> bool:
    """Closed, or taken from us when the pool was cut off."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


@asynccontextmanager
async def _transaction(connection: Connection, *, readonly: bool) -> AsyncIterator[None]:
    """
    In it unqualified names resolve to the read model, whoever signed in.

    A role's settings are not inherited by its members, and start-up parameters do not pass every pooler; what BEGIN brings along
    passes, and costs no round trip.
    """
    try:
        await connection.execute(_READING if readonly else _WRITING, timeout=SILENCE_TIMEOUT_SECONDS)
        yield
    except TimeoutError:
        _give_up(connection)
        raise
    except BaseException:
        await _roll_back(connection)
        raise
    await connection.execute("COMMIT")


async def _roll_back(connection: Connection) -> None:
    """
    Where it fails, the transaction ends with the connection.

    What it is rolled back for is raised in any case: it may be a cancellation.
    """
    if _is_gone(connection):
        return
    try:
        await connection.execute("ROLLBACK", timeout=SILENCE_TIMEOUT_SECONDS)
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError):
        _give_up(connection)


def _give_up(connection: Connection) -> None:
    """Nothing more is asked of it: on a connection that fell silent each question costs its whole limit."""
    if not _is_gone(connection):
        connection.terminate()


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Nothing here changes a session, and behind a transaction pooler there is none to reset; it would cost a round trip."""
