"""Postgres away, hung, misconfigured or busy with somebody else: told apart, and got over."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from projections import database as database_module
from projections.database import Connection, Database
from projections.migrate import migrate
from projections.reader import Reader
from simulator.servers import EmbeddedPostgres, free_port
from streams.errors import ConfigurationError, ReadModelUnavailable, TransientError
from tests.harness.proxy import Proxy
from tests.projections.faults import FaultyDatabase, Statements, terminate
from tests.projections.random_log import random_log
from tests.projections.read_model import Log, Projecting, assert_means, dump, positions_in, thread_in
from tests.streams.conftest import eventually

THREAD = thread_in(0)
SLEEP = "SELECT pg_sleep(60)"
OTHER_SESSIONS = "datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres that this test may stop."""
    server = EmbeddedPostgres(tmp_path / "postgres", free_port())
    server.start()
    yield server
    server.stop()


async def test_a_postgres_that_stops_is_unavailable_and_one_that_is_back_serves_at_once(server: EmbeddedPostgres) -> None:
    log = random_log(21)
    half = len(log.records) // 2
    await asyncio.to_thread(migrate, server.url)
    database = Database(server.url)
    projecting = Projecting(database)
    await projecting.catch_up(log.records[:half])
    await asyncio.gather(*(Reader(database).view(0, THREAD) for _ in range(20)))

    server.stop()
    with pytest.raises(ReadModelUnavailable):
        await projecting.projector.project(log.records[half:])
    with pytest.raises(ReadModelUnavailable):
        await projecting.projector.positions([0])
    server.start()

    await projecting.catch_up(log.records)
    await assert_means(database, log.records)
    await database.close()


async def test_sessions_terminated_while_idle_cost_at_most_one_failure(read_model_url: str) -> None:
    database = Database(read_model_url, max_connections=4)
    reader = Reader(database)
    await asyncio.gather(*(reader.view(0, THREAD) for _ in range(20)))
    administrator = await asyncpg.connect(read_model_url)
    await administrator.fetch(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OTHER_SESSIONS}")  # noqa: S608
    await administrator.close()

    failures = 0
    for _ in range(10):
        try:
            await reader.view(0, THREAD)
        except ReadModelUnavailable:
            failures += 1

    assert failures <= 1
    await database.close()


async def test_a_wire_that_hangs_is_an_outage_and_ends_with_it(read_model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "COMMAND_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(database_module, "CONNECT_TIMEOUT_SECONDS", 0.3)
    log = random_log(22)
    async with Proxy(read_model_url) as wire:
        database = Database(wire.url, max_connections=1)
        projecting = Projecting(database)
        await projecting.catch_up(log.records[:10])
        wire.hold()
        for _ in range(2):
            with pytest.raises(ReadModelUnavailable):
                await asyncio.wait_for(projecting.projector.project(log.records[10:]), 20)
        wire.heal()
        monkeypatch.setattr(database_module, "COMMAND_TIMEOUT_SECONDS", 30.0)

        await projecting.catch_up(log.records)
        await assert_means(database, log.records)
        await database.close()


@pytest.mark.alone
async def test_a_connection_that_fell_silent_is_given_up_soon(read_model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a command is for a slow one; a silent connection costs the short limit, and that once."""
    monkeypatch.setattr(database_module, "SILENCE_TIMEOUT_SECONDS", 1.5)
    async with Proxy(read_model_url) as wire:
        database = Database(wire.url, max_connections=1)
        await Reader(database).view(0, THREAD)
        wire.half_open()
        with pytest.raises(ReadModelUnavailable):
            await asyncio.wait_for(Reader(database).view(0, THREAD), 2.9)
        wire.heal()
        await asyncio.wait_for(Reader(database).view(0, THREAD), 5)
        await database.close()


@pytest.mark.parametrize("fell_silent", ["half_open", "hold"])
async def test_a_transaction_that_is_cancelled_on_a_silent_connection_ends_soon(
    read_model_url: str, monkeypatch: pytest.MonkeyPatch, fell_silent: str
) -> None:
    monkeypatch.setattr(database_module, "SILENCE_TIMEOUT_SECONDS", 0.3)
    async with Proxy(read_model_url) as wire:
        database, inside = Database(wire.url, max_connections=1), asyncio.Event()

        async def stay() -> None:
            async with database.transaction():
                inside.set()
                await asyncio.Event().wait()

        staying = asyncio.create_task(stay())
        await inside.wait()
        getattr(wire, fell_silent)()
        staying.cancel()
        done, _ = await asyncio.wait([staying], timeout=5)
        assert done == {staying}
        assert staying.cancelled()
        wire.heal()
        await asyncio.wait_for(Reader(database).view(0, THREAD), 5)
        await database.close()


async def test_who_is_cancelled_is_cancelled_though_the_connection_breaks_meanwhile(read_model_url: str) -> None:
    """Told of an outage instead, whoever waits for the end of one would try on, when its partition is another's already."""
    async with Proxy(read_model_url) as wire:
        database, inside = Database(wire.url, max_connections=1), asyncio.Event()

        async def stay() -> None:
            async with database.transaction(readonly=True):
                inside.set()
                await asyncio.Event().wait()

        staying = asyncio.create_task(stay())
        await inside.wait()
        wire.hold()
        staying.cancel()
        await asyncio.wait([staying], timeout=0.1)
        assert not staying.done(), "it waits for the transaction to be rolled back"
        wire.reset()
        await asyncio.wait([staying], timeout=5)
        assert staying.cancelled()
        wire.heal()
        await asyncio.wait_for(Reader(database).view(0, THREAD), 5)
        await database.close()


async def test_a_full_pool_is_an_outage_and_ends_with_it(read_model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "COMMAND_TIMEOUT_SECONDS", 0.2)
    database = Database(read_model_url, max_connections=1)
    async with database.transaction():
        with pytest.raises(ReadModelUnavailable):
            await Reader(database).view(0, THREAD)

    await Reader(database).view(0, THREAD)
    await database.close()


async def test_a_deadlocks_victim_may_try_again(database: Database, read_model_url: str) -> None:
    """Somebody holds a row of ours and wants our checkpoint: Postgres ends one of the two."""
    log = Log()
    log.receive(THREAD, "SM1")
    projecting = Projecting(database)
    await projecting.catch_up(log.records)
    log.receive(THREAD, "SM2")
    administrator = await asyncpg.connect(read_model_url, server_settings={"deadlock_timeout": "60s"})
    async with administrator.transaction():
        await administrator.execute("SELECT 1 FROM threads FOR UPDATE")
        projection = asyncio.create_task(projecting.projector.project(log.records))
        await _until_some_session(read_model_url, "wait_event_type = 'Lock'")
        await administrator.execute("SELECT 1 FROM checkpoints FOR UPDATE")
        with pytest.raises(ReadModelUnavailable, match="DeadlockDetectedError") as raised:
            await projection
    await administrator.close()

    assert isinstance(raised.value, TransientError)
    await projecting.catch_up(log.records)
    await assert_means(database, log.records)


@pytest.mark.parametrize(
    "state",
    [
        "40001",
        "40P01",
        "55P03",
        "57P01",
        "57P02",
        "57P03",
        "57014",
        "53100",
        "53200",
        "53300",
        "08006",
        "25006",
        "25P03",
        "58030",
        "XX000",
    ],
)
async def test_what_may_pass_is_transient(database: Database, state: str) -> None:
    with pytest.raises(ReadModelUnavailable):
        async with database.transaction() as connection:
            await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")

    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_mistake_of_ours_is_no_outage(database: Database) -> None:
    """Who took it for one would try it again for ever."""
    with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
        async with database.transaction() as connection:
            await connection.fetchval("SELECT $1::integer")

    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_connection_that_went_away_between_two_statements_is_an_outage(database: Database, read_model_url: str) -> None:
    async def use_it_when_it_is_gone() -> None:
        async with database.transaction() as connection:
            await terminate(read_model_url, await connection.fetchval("SELECT pg_backend_pid()"))
            await eventually(connection.is_closed)
            await connection.fetchval("SELECT 1")

    with pytest.raises(ReadModelUnavailable):
        await use_it_when_it_is_gone()


async def test_missing_tables_name_the_command_and_are_found_without_a_restart(database_url: str) -> None:
    database = Database(database_url, max_connections=1)
    projecting = Projecting(database)
    with pytest.raises(ReadModelUnavailable, match="prosa migrate"):
        await projecting.projector.positions([0])

    await asyncio.to_thread(migrate, database_url)

    assert await projecting.projector.positions([0]) == {0: 0}
    await database.close()


async def test_a_missing_column_names_the_command(database_url: str) -> None:
    await asyncio.to_thread(migrate, database_url)
    database = Database(database_url)
    async with database.transaction() as connection:
        await connection.execute("ALTER TABLE checkpoints DROP COLUMN chain")

    with pytest.raises(ReadModelUnavailable, match="prosa migrate"):
        await Projecting(database).projector.positions([0])
    await database.close()


async def test_what_only_a_person_can_mend_is_a_configuration_error_without_secrets(database_url: str) -> None:
    role = f"role_{uuid4().hex}"
    administrator = await asyncpg.connect(database_url)
    await administrator.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    await asyncio.to_thread(migrate, database_url)
    wrong = [
        _with_user(database_url, role, "wrong-secret"),
        database_url + "_that_is_not_there",
        "postgresql://name:wrong-secret@localhost:port/x",
        "mysql://name:wrong-secret@127.0.0.1/x",
        database_url + "?sslmode=sometimes",
    ]
    for url in wrong:
        database = Database(url)
        with pytest.raises(ConfigurationError, match="DATABASE_URL") as raised:
            await Projecting(database).projector.positions([0])
        assert "secret" not in str(raised.value)
        assert raised.value.__cause__ is None
        await database.close()
    await administrator.execute(f"DROP ROLE {role}")
    await administrator.close()


async def test_a_role_without_rights_is_a_configuration_error(database: Database, read_model_url: str) -> None:
    role = f"role_{uuid4().hex}"
    async with database.transaction() as connection:
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
        await connection.execute(f"GRANT USAGE ON SCHEMA prosa TO {role}")
        await connection.execute(f"ALTER ROLE {role} SET search_path = prosa")
    stranger = Database(_with_user(read_model_url, role, "right"))
    try:
        with pytest.raises(ConfigurationError, match="InsufficientPrivilege"):
            await Projecting(stranger).projector.positions([0])
    finally:
        await stranger.close()
        async with database.transaction() as connection:
            await connection.execute(f"REVOKE ALL ON SCHEMA prosa FROM {role}; DROP ROLE {role}")


async def test_closing_lets_a_transaction_end(read_model_url: str) -> None:
    database = FaultyDatabase(read_model_url)
    log = random_log(23)
    projecting = Projecting(database)
    await projecting.catch_up([])
    inside = asyncio.Event()

    async def note(_: Connection) -> None:
        inside.set()

    database.watch(Statements(1, note))
    projection = asyncio.create_task(projecting.projector.project(log.records))
    await inside.wait()
    await database.close()
    await projection

    again = Database(read_model_url)
    await assert_means(again, log.records)
    await again.close()


async def test_closing_cuts_off_what_does_not_end(read_model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "CLOSE_TIMEOUT_SECONDS", 0.2)
    database = Database(read_model_url)

    async def sleep() -> None:
        async with database.transaction() as connection:
            await connection.execute(SLEEP)

    sleeping = asyncio.create_task(sleep())
    await _until_some_session(read_model_url, "query LIKE '%pg_sleep%' AND state = 'active'")
    await database.close()

    with pytest.raises(ReadModelUnavailable):
        await sleeping
    again = Database(read_model_url)
    assert await positions_in(again) == {}
    assert (await dump(again))["events"] == []
    async with again.transaction() as connection:  # Postgres would let it sleep on
        await connection.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1", SLEEP)
    await again.close()


async def _until_some_session(url: str, condition: str) -> None:
    connection = await asyncpg.connect(url)

    async def found() -> bool:
        query = f"SELECT count(*) FROM pg_stat_activity WHERE {OTHER_SESSIONS} AND {condition}"  # noqa: S608 - our own words
        return bool(await connection.fetchval(query))

    try:
        await eventually(found)
    finally:
        await connection.close()


def _with_user(url: str, user: str, password: str) -> str:
    _, _, place = url.partition("@")
    return f"postgresql://{user}:{password}@{place}"
