"""Connections to Postgres that fail when a test says so."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from projections.database import Connection, Database
from streams.errors import ReadModelUnavailable


async def terminate(url: str, pid: int) -> None:
    """End a session as an administrator would, and wait until it is gone."""
    connection = await asyncpg.connect(url)
    try:
        await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    finally:
        await connection.close()


class Statements:
    """Counts the statements of a projector's transactions, and does something before one of them; COMMIT counts too."""

    def __init__(self, fail_at: int, fail: Callable[[Connection], Any]) -> None:
        self.count = 0
        self._fail_at = fail_at
        self._fail = fail

    async def next(self, connection: Connection) -> None:
        self.count += 1
        if self.count == self._fail_at:
            await self._fail(connection)


class _Watched:
    """A connection whose statements are counted."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._statements.next(self._connection)
            return await method(*arguments, **named)

        return call


class FaultyDatabase(Database):
    """A database that meets a fault at one statement of those that follow `watch`."""

    statements: Statements | None = None

    def watch(self, statements: Statements | None) -> None:
        self.statements = statements

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        statements = self.statements
        async with super().transaction(readonly=readonly) as connection:
            if statements is None:
                yield connection
                return
            yield cast("Connection", _Watched(connection, statements))
            await statements.next(connection)


class ForgetfulDatabase(Database):
    """A database that commits, and whose answer to the commit is lost."""

    loses_answers = False

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        async with super().transaction(readonly=readonly) as connection:
            yield connection
        if self.loses_answers:
            raise ReadModelUnavailable("ConnectionResetError")
