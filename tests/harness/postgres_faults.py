"""
Ways in which Postgres is away, refuses, or is busy with somebody else, each healed at the end of its `async with`.

Laws. A URL names the database of the read model and a role that owns it or is a superuser; what is done is done to that
database only, unless the docstring says "the server". No fault loses what was committed. Give the server's own URL, not a
proxy's: whoever heals must get through.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from simulator.servers import EmbeddedPostgres
from tests.acceptance.processes import process_of
from tests.harness import process_faults
from tests.harness.own_servers import killed, shut_down
from tests.harness.postgres_slots import no_connection_left
from tests.harness.process_faults import family_of, stopped
from tests.streams.conftest import eventually

__all__ = [
    "crashed",
    "deadlock",
    "end_sessions",
    "hung",
    "kill_one_session",
    "killed",
    "locked",
    "no_connection_left",
    "raising",
    "raising_at_commit",
    "read_only",
    "revoked",
    "shut_down",
]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SCHEMA = "prosa"
ALWAYS = 1_000_000_000
OURS = {"deadlock_timeout": "600s", "default_transaction_read_only": "off"}
"""Whoever waits this long before it looks is never a deadlock's victim; and we may write whatever is set for others."""
OTHERS = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"


async def end_sessions(url: str) -> int:
    """Every session of this database but ours is ended, as by an administrator; returns how many there were."""
    async with _connected(url) as connection:
        ended = await connection.fetch(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OTHERS}")  # noqa: S608
        return len(ended)


async def kill_one_session(url: str) -> bool:
    """SIGKILL to the process of one session: the server ends all sessions and recovers. False where there was none."""
    async with _connected(url) as connection:
        pid = await connection.fetchval(f"SELECT pid FROM pg_stat_activity WHERE {OTHERS} LIMIT 1")  # noqa: S608
    process = process_of(pid) if pid else None
    if process is not None:
        await process_faults.kill(process)
    return process is not None


@asynccontextmanager
async def crashed(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    """The server ends at once and writes nothing more (an immediate shutdown); it replays its log at the end."""
    async with killed(postgres, signal.SIGQUIT):
        yield


@asynccontextmanager
async def hung(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    """The server: connections are taken by the kernel, and nobody answers. All its processes are stopped."""
    async with stopped(*family_of(postgres.pid)):
        yield


@asynccontextmanager
async def locked(url: str, table: str = "checkpoints") -> AsyncIterator[None]:
    """Every row that a table has now is held by somebody else: who wants to write it waits."""
    async with _connected(url) as connection, connection.transaction():
        await connection.execute(f"SELECT 1 FROM {SCHEMA}.{table} FOR UPDATE")  # noqa: S608 - our own name
        yield


async def deadlock(url: str, within_seconds: float) -> bool:
    """
    Make a session the victim of a deadlock that wants to write `threads` while it holds `checkpoints`, as a projector does.

    Nobody else writes `threads` until then. False where nobody came in time, or it held no checkpoint.
    """
    async with _connected(url) as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {SCHEMA}.threads IN SHARE ROW EXCLUSIVE MODE")
        if not await _somebody_waits_for(url, connection.get_server_pid(), within_seconds):
            return False
        lock = f"SELECT 1 FROM {SCHEMA}.checkpoints FOR UPDATE"  # noqa: S608 - our own name
        try:
            async with connection.transaction():
                await connection.execute(f"{lock} NOWAIT")
        except asyncpg.LockNotAvailableError:
            await connection.execute(lock)  # until the other one has been ended
            return True
        return False


@asynccontextmanager
async def raising(url: str, code: str, *, at: int = 1, times: int = ALWAYS, table: str = "checkpoints") -> AsyncIterator[None]:
    """
    A statement that writes to a table fails with this SQLSTATE: the `at`-th from now on, and `times` in all.

    They are counted across transactions, those included that are rolled back. 53100 is a full disk, 40001 a serialization
    failure, 42501 a privilege that is missing.
    """
    async with _trigger(url, STATEMENT_FAILS, code, at, times, table):
        yield


@asynccontextmanager
async def raising_at_commit(
    url: str, code: str, *, at: int = 1, times: int = ALWAYS, table: str = "checkpoints"
) -> AsyncIterator[None]:
    """The same, but the statement passes and COMMIT fails. Rows are counted, not statements."""
    async with _trigger(url, COMMIT_FAILS, code, at, times, table):
        yield


@asynccontextmanager
async def read_only(url: str) -> AsyncIterator[None]:
    """25006 to every write. Sessions are ended, at the beginning and at the end, since it is for new ones only."""
    database = urlsplit(url).path.lstrip("/")
    await _execute(url, f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    await end_sessions(url)
    try:
        yield
    finally:
        await _execute(url, f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
        await end_sessions(url)


@asynccontextmanager
async def revoked(url: str, role: str, privilege: str = "UPDATE", table: str = "checkpoints") -> AsyncIterator[None]:
    """42501 to what a role does with a table; a superuser, or one who has it by a group as well, may do it all the same."""
    await _execute(url, f'REVOKE {privilege} ON {SCHEMA}.{table} FROM "{role}"')
    try:
        yield
    finally:
        await _execute(url, f'GRANT {privilege} ON {SCHEMA}.{table} TO "{role}"')


STATEMENT_FAILS = "CREATE TRIGGER {name} AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT"
COMMIT_FAILS = "CREATE CONSTRAINT TRIGGER {name} AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
FAILS = """
CREATE SCHEMA {name};
CREATE SEQUENCE {name}.calls;
CREATE FUNCTION {name}.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    call bigint := nextval('{name}.calls');
BEGIN
    IF call BETWEEN {first} AND {last} THEN
        RAISE EXCEPTION 'raised by a test' USING ERRCODE = '{code}';
    END IF;
    RETURN NULL;
END $$;
{trigger} EXECUTE FUNCTION {name}.fail()
"""
"""A sequence counts, since that is not rolled back. It is asked by itself: BETWEEN would ask it twice."""


@asynccontextmanager
async def _trigger(url: str, trigger: str, code: str, at: int, times: int, table: str) -> AsyncIterator[None]:
    name = f"harness_{uuid4().hex}"
    trigger = trigger.format(name=name, table=f"{SCHEMA}.{table}")
    await _execute(url, FAILS.format(name=name, code=code, first=at, last=at + times - 1, trigger=trigger))
    try:
        yield
    finally:
        await _execute(url, f"DROP SCHEMA {name} CASCADE")


async def _somebody_waits_for(url: str, pid: int, within_seconds: float) -> bool:
    async with _connected(url) as connection:

        async def somebody_waits() -> bool:
            waiting = f"SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE {OTHERS} AND $1 = ANY (pg_blocking_pids(pid)))"  # noqa: S608
            return bool(await connection.fetchval(waiting, pid))

        try:
            await eventually(somebody_waits, within_seconds=within_seconds)
        except AssertionError:
            return False
        return True


async def _execute(url: str, statements: str) -> None:
    async with _connected(url) as connection:
        await connection.execute(statements)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url, server_settings=OURS)
    try:
        yield connection
    finally:
        await connection.close()
