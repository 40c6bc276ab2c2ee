"""Alembic's entry: how a migration reaches the database. Called through `projections.migrate`."""

import asyncio
from uuid import uuid4

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

SCHEMA = "prosa"

_ONE_AT_A_TIME = 7_706_553_287
"""Any number that only Prosa's migrations lock."""


def _migrate(connection: Connection) -> None:
    timeout = {"timeout": f"{context.config.attributes['lock_seconds']:g}s"}
    connection.execute(text("SELECT set_config('lock_timeout', :timeout, true)"), timeout)
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    context.configure(connection=connection, version_table_schema=SCHEMA)
    context.run_migrations()


async def _online() -> None:
    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, connect_args=_connect_arguments())
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


def _connect_arguments() -> dict[str, object]:
    """The driver reads the URL itself, `sslmode` and all; behind a transaction pooler no statement's name may come twice."""
    return {
        "dsn": context.config.attributes["url"],
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"prosa_{uuid4().hex}",
    }


def _offline() -> None:
    plain = {"paramstyle": "named"}  # the default one doubles every per cent sign
    context.configure(dialect_name="postgresql", dialect_opts=plain, literal_binds=True, version_table_schema=SCHEMA)
    with context.begin_transaction():
        context.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        context.run_migrations()


if context.is_offline_mode():
    _offline()
else:
    asyncio.run(_online())
