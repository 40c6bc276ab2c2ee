"""Each fault shows as what it is called, ends with its block, and loses nothing that was committed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeAlias

import asyncpg
import pytest

from projections.database import Database
from projections.migrate import migrate
from simulator.servers import EmbeddedPostgres, free_port
from streams.errors import ReadModelUnavailable
from tests.harness import postgres_faults as faults
from tests.projections.random_log import random_log
from tests.projections.read_model import PARTITIONS, Projecting, assert_means, dump
from tests.projections.roles import member_of
from tests.streams.conftest import eventually

WRITE = "UPDATE prosa.checkpoints SET updated_at = now() WHERE partition = 0"
ENDED = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    OSError,
)

LOG = random_log(31)

Break: TypeAlias = Callable[[EmbeddedPostgres], AbstractAsyncContextManager[None]]
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that may be stopped, with a read model in it, and well between two tests."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("faults") / "postgres", free_port())
    server.start()
    migrate(server.url)
    yield server
    server.stop()


@pytest.fixture
async def written(postgres: EmbeddedPostgres) -> Any:
    """What stands in the read model."""
    database = Database(postgres.url)
    await Projecting(database).catch_up(LOG.records[: len(LOG.records) // 2])
    rows = await dump(database)
    await database.close()
    return rows


@pytest.fixture
async def session(postgres: EmbeddedPostgres, written: Any) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(postgres.url)
    yield connection
    connection.terminate()


async def all_of(postgres: EmbeddedPostgres) -> Any:
    database = Database(postgres.url)
    rows = await dump(database)
    await database.close()
    return rows


async def code_of(url: str, statement: str = WRITE) -> str:
    """The SQLSTATE that a new session gets for it, 00000 where all is well."""
    try:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        return str(error.sqlstate)
    return "00000"


async def test_all_sessions_of_the_database_end_but_ours_and_new_ones_are_taken(
    postgres: EmbeddedPostgres, session: Session
) -> None:
    other = await asyncpg.connect(postgres.url.removesuffix("postgres") + "template1")
    assert await faults.end_sessions(postgres.url) == 1
    with pytest.raises(ENDED):
        await session.execute(WRITE)
    assert await other.fetchval("SELECT 1") == 1
    await other.close()
    assert await code_of(postgres.url) == "00000"


async def test_one_killed_session_ends_all_and_the_server_recovers_by_itself(
    postgres: EmbeddedPostgres, session: Session, written: Any
) -> None:
    pid = postgres.pid
    assert await faults.kill_one_session(postgres.url)
    with pytest.raises(ENDED):
        await session.execute(WRITE)

    async def is_back() -> bool:
        with suppress(*ENDED, asyncpg.CannotConnectNowError):
            return await code_of(postgres.url) == "00000"
        return False

    await eventually(is_back)
    assert postgres.pid == pid
    assert await all_of(postgres) == written


@pytest.mark.parametrize("away", [faults.shut_down, faults.crashed, faults.killed])
async def test_a_server_that_is_away_comes_back_with_everything(
    postgres: EmbeddedPostgres, session: Session, written: Any, away: Break
) -> None:
    async with away(postgres):
        with pytest.raises(ENDED):
            await session.execute(WRITE)
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(postgres.url)
    assert await all_of(postgres) == written


async def test_a_server_that_hangs_answers_nobody_and_then_everybody(
    postgres: EmbeddedPostgres, session: Session, written: Any
) -> None:
    async with faults.hung(postgres):
        with pytest.raises(TimeoutError):
            await asyncpg.connect(postgres.url, timeout=0.3)
        waiting = asyncio.create_task(session.fetchval("SELECT 1"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting == 1
    assert await all_of(postgres) == written


async def test_a_held_row_makes_a_writer_wait_until_it_is_released(postgres: EmbeddedPostgres, session: Session) -> None:
    async with faults.locked(postgres.url):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await session.execute(f"SET lock_timeout = 50; {WRITE}")
    await session.execute(f"SET lock_timeout = 50; {WRITE}")


async def test_a_projector_is_the_victim_of_a_deadlock_and_loses_nothing(
    postgres: EmbeddedPostgres, session: Session, written: Any
) -> None:
    database = Database(postgres.url)
    projecting, records = Projecting(database), LOG.records[len(LOG.records) // 2 :]
    await projecting.projector.positions(range(PARTITIONS))
    deadlock = asyncio.create_task(faults.deadlock(postgres.url, 10))

    async def has_locked() -> bool:
        return bool(await session.fetchval("SELECT count(*) FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted"))

    await eventually(has_locked)
    with pytest.raises(ReadModelUnavailable, match="DeadlockDetectedError"):
        await projecting.projector.project(records)
    assert await deadlock
    assert await dump(database) == written
    await projecting.catch_up(LOG.records)
    await assert_means(database, LOG.records)
    await database.close()


async def test_where_nobody_comes_there_is_no_deadlock(postgres: EmbeddedPostgres, session: Session) -> None:
    assert not await faults.deadlock(postgres.url, 0.1)
    assert await code_of(postgres.url, "DELETE FROM prosa.threads WHERE false") == "00000"


@pytest.mark.parametrize("code", ["40001", "53100", "57014"])
async def test_the_chosen_statements_fail_with_the_chosen_code(postgres: EmbeddedPostgres, session: Session, code: str) -> None:
    async with faults.raising(postgres.url, code, at=2, times=2):
        assert [await code_of(postgres.url) for _ in range(5)] == ["00000", code, code, "00000", "00000"]
    async with faults.raising(postgres.url, code):
        assert {await code_of(postgres.url) for _ in range(3)} == {code}
    assert await code_of(postgres.url) == "00000"


async def test_a_commit_fails_after_its_statements_passed(postgres: EmbeddedPostgres, session: Session) -> None:
    async with faults.raising_at_commit(postgres.url, "40001", times=1):
        transaction = session.transaction()
        await transaction.start()
        assert await session.execute(WRITE) == "UPDATE 1"
        with pytest.raises(asyncpg.SerializationError):
            await transaction.commit()
        assert await code_of(postgres.url) == "00000"
    assert await session.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'harness_%'") == 0


async def test_nobody_gets_a_connection_and_then_everybody_does(postgres: EmbeddedPostgres, session: Session) -> None:
    async with faults.no_connection_left(postgres.url):
        assert {await code_of(postgres.url) for _ in range(3)} == {"53300"}
        with pytest.raises(ENDED):
            await session.execute(WRITE)

    async def is_back() -> bool:
        return await code_of(postgres.url) == "00000"

    await eventually(is_back)


async def test_a_read_only_database_refuses_writes_in_new_and_old_sessions(postgres: EmbeddedPostgres, session: Session) -> None:
    async with faults.read_only(postgres.url):
        assert await code_of(postgres.url) == "25006"
        assert await code_of(postgres.url, "SELECT * FROM prosa.checkpoints") == "00000"
        with pytest.raises(ENDED):
            await session.execute(WRITE)
    assert await code_of(postgres.url) == "00000"


async def test_a_role_may_not_what_it_may_afterwards(postgres: EmbeddedPostgres, session: Session) -> None:
    async with member_of(postgres.url) as url:
        role = await fetched(url, "SELECT current_user")
        await session.execute(f"GRANT USAGE ON SCHEMA prosa TO {role}; GRANT SELECT, UPDATE ON prosa.checkpoints TO {role}")
        await session.execute(f"CREATE POLICY everything_{role} ON prosa.checkpoints TO {role} USING (true)")
        async with faults.revoked(postgres.url, role):
            assert await code_of(url) == "42501"
        assert await code_of(url) == "00000"
        await session.execute(f"DROP OWNED BY {role}")


async def fetched(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


HEALED: dict[str, Break] = {
    "locked": lambda postgres: faults.locked(postgres.url),
    "raising": lambda postgres: faults.raising(postgres.url, "53100"),
    "raising_at_commit": lambda postgres: faults.raising_at_commit(postgres.url, "53100"),
    "read_only": lambda postgres: faults.read_only(postgres.url),
    "no_connection_left": lambda postgres: faults.no_connection_left(postgres.url),
    "hung": faults.hung,
}


@pytest.mark.parametrize("name", HEALED)
async def test_it_is_healed_though_the_test_fails(postgres: EmbeddedPostgres, session: Session, name: str) -> None:
    with pytest.raises(ValueError, match="the test"):
        async with HEALED[name](postgres):
            raise ValueError("the test")

    async def is_back() -> bool:
        return await code_of(postgres.url, f"SET lock_timeout = 50; {WRITE}") == "00000"

    await eventually(is_back)
