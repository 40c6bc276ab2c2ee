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

from streams.errors import ConfigurationError, ReadModelUnavailable

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
"""A connection of the pool."""

TRANSACTION_POOLER_PORT = 6543
"""Supabase's transaction pooler; behind it no prepared statement outlives its transaction."""

COMMAND_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 5.0

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What may pass: the server is away, restarts, is full, or chose this transaction as a deadlock's victim."""


@cache
def sql(name: str) -> str:
    """The statement in `sql/NAME.sql`."""
    return files("projections").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


class Database:
    """A pool that is opened at first use and opens again after the server was away."""

    def __init__(self, url: str, *, max_connections: int = 8) -> None:
        self._url = url
        self._max_connections = max_connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """
        One transaction; everything inside is written, or nothing.

        Reads use one too: a transaction pooler keeps a statement and its execution together only inside one. Raises
        `ReadModelUnavailable` when Postgres is away.
        """
        try:
            pool = await self._opened()
            async with pool.acquire(timeout=COMMAND_TIMEOUT_SECONDS) as connection, connection.transaction(readonly=readonly):
                yield connection
        except asyncpg.UndefinedTableError as error:
            raise ReadModelUnavailable("the tables are missing; run: prosa migrate") from error
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise ConfigurationError(f"DATABASE_URL: Postgres answers {type(error).__name__}") from error
        except UNAVAILABLE as error:
            raise ReadModelUnavailable(type(error).__name__) from error

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                is_pooler = urlsplit(self._url).port == TRANSACTION_POOLER_PORT
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._max_connections,
                    command_timeout=COMMAND_TIMEOUT_SECONDS,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    statement_cache_size=0 if is_pooler else 100,
                )
            return self._pool
