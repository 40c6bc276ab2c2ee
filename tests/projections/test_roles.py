"""Who may do what: the processes, a dashboard, and everybody else."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from projections import database as database_module
from projections.database import Database
from projections.migrate import migrate
from projections.reader import Reader
from simulator.servers import EmbeddedPostgres, free_port
from streams.errors import ReadModelUnavailable
from tests.projections.pooler import TransactionPooler
from tests.projections.random_log import THREADS, random_log
from tests.projections.read_model import PARTITIONS, Projecting, assert_means
from tests.projections.roles import member_of, signed_in_as

ARCHIVES = {"events", "skipped_events"}
"""What was written there stays as it is."""

TABLES = """
SELECT relname AS name, relispartition AS is_partition, relrowsecurity AS is_guarded, relkind::text,
       ARRAY(SELECT polname::text FROM pg_policy WHERE polrelid = pg_class.oid ORDER BY polname) AS policies
FROM pg_class WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
"""

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def tables_of(url: str) -> list[asyncpg.Record]:
    async with connected(url) as owner:
        return list(await owner.fetch(TABLES))


async def rights_of(url: str) -> dict[str, set[str]]:
    """What this user has been granted on each table of the schema, itself or through a group."""
    question = "SELECT has_table_privilege($1::regclass, $2)"
    async with connected(url) as user:
        return {
            table["name"]: {right for right in RIGHTS if await user.fetchval(question, f"prosa.{table['name']}", right)}
            for table in await user.fetch(TABLES)
        }


def migrate_apart(url: str) -> None:
    """In a process of its own: Alembic's context is one per process."""
    program = "import sys; from projections.migrate import migrate; migrate(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, url], check=True)  # noqa: S603 - ourselves


@pytest.fixture
def cluster_without_roles(tmp_path: Path) -> Iterator[str]:
    """The roles belong to a cluster, and the one of all tests has them."""
    server = EmbeddedPostgres(tmp_path / "postgres", free_port())
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def until_somebody_waits(observer: asyncpg.Connection, database: str) -> None:
    question = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while not await observer.fetchval(question, database):  # noqa: ASYNC110 - Postgres does not tell by itself
            await asyncio.sleep(0.01)


async def assert_refused(connection: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


async def test_every_table_has_row_level_security_and_a_policy_for_each_role(migrated_url: str) -> None:
    for table in await tables_of(migrated_url):
        assert table["relkind"] in {"r", "p"}, f"{table['name']}: a view would need security_invoker; say so here"
        assert table["is_guarded"], table["name"]
        assert table["policies"] == ([] if table["is_partition"] else ["prosa_app", "prosa_read"]), table["name"]


async def test_the_processes_role_has_what_they_need_and_no_more(read_model_url: str) -> None:
    async with member_of(read_model_url, "prosa_app") as url:
        rights = await rights_of(url)

    for table in await tables_of(read_model_url):
        name, expected = table["name"], {"SELECT", "INSERT", "UPDATE"}
        if table["is_partition"]:
            expected = set()
        elif name == "alembic_version":
            expected = {"SELECT"}
        elif name in ARCHIVES:
            expected = {"SELECT", "INSERT"}
        assert rights[name] == expected, name


async def test_the_processes_role_projects_and_reads(read_model_url: str) -> None:
    log = random_log(41, steps=300)
    async with member_of(read_model_url, "prosa_app") as url:
        database = Database(url, max_connections=4)
        projecting, reader = Projecting(database), Reader(database)
        await projecting.catch_up(log.records, batch=20)
        await assert_means(database, log.records)
        views = [await reader.view(partition, THREADS[0]) for partition in range(PARTITIONS)]
        conversation = next(view.state.conversation for view in views if view.state and view.state.conversation)
        await reader.history(conversation.id, [], limit=20)
        await reader.awaiting_answer(0, log.now_ms, limit=20)
        await reader.awaiting_send(0, log.now_ms, limit=20)
        await reader.accounted_sids("a|b", ["SM1"], apart_from="attempt")
        await database.close()


async def test_the_processes_role_projects_behind_a_transaction_pooler(
    read_model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There names must resolve without anything that belongs to a session."""
    log = random_log(42)
    async with member_of(read_model_url, "prosa_app") as url, TransactionPooler(url).running() as pooler:
        monkeypatch.setattr(database_module, "TRANSACTION_POOLER_PORT", pooler.port)
        database = Database(pooler.pooled_url, max_connections=4)
        await Projecting(database).catch_up(log.records, batch=5)
        await assert_means(database, log.records)
        await database.close()


async def test_the_processes_role_changes_nothing_but_rows(read_model_url: str) -> None:
    async with connected(read_model_url) as owner:
        await owner.execute("CREATE SCHEMA IF NOT EXISTS elsewhere; CREATE TABLE IF NOT EXISTS elsewhere.secrets (secret text)")
    async with member_of(read_model_url, "prosa_app") as url, connected(url) as user:
        for statement in (
            "CREATE TABLE prosa.mine (id integer)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "DROP TABLE prosa.messages",
            "ALTER TABLE prosa.messages ADD COLUMN mine integer",
            "ALTER TABLE prosa.messages DISABLE ROW LEVEL SECURITY",
            "DROP POLICY prosa_app ON prosa.messages",
            "TRUNCATE prosa.messages",
            "DELETE FROM prosa.messages",
            "UPDATE prosa.events SET digest = ''",
            "UPDATE prosa.alembic_version SET version_num = '0000'",
            "SELECT * FROM prosa.events_0",
            "SELECT * FROM elsewhere.secrets",
            "CALL prosa.grant_to_roles()",
            "GRANT SELECT ON prosa.messages TO PUBLIC",
        ):
            if statement.startswith("GRANT"):  # Postgres only warns, and grants nothing
                await user.execute(statement)
            else:
                await assert_refused(user, statement)
        assert await user.fetchval("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole") == 0
    async with connected(read_model_url) as owner:
        assert not await owner.fetchval(
            "SELECT bool_or(rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication) "
            "FROM pg_roles WHERE rolname IN ('prosa_app', 'prosa_read')"
        )
        assert not await owner.fetchval(
            "SELECT bool_or(relacl::text ~ '[{,]=') FROM pg_class WHERE relnamespace = 'prosa'::regnamespace"
        )
        await owner.execute("DROP SCHEMA elsewhere CASCADE")


async def test_the_reading_role_sees_every_row_and_changes_none(read_model_url: str) -> None:
    log = random_log(43, steps=200)
    database = Database(read_model_url)
    await Projecting(database).catch_up(log.records)
    await database.close()
    async with member_of(read_model_url, "prosa_read") as url, connected(url) as user, connected(read_model_url) as owner:
        for table in await tables_of(read_model_url):
            name = f"prosa.{table['name']}"
            column = await owner.fetchval("SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1", name)
            if table["is_partition"]:
                await assert_refused(user, f"SELECT FROM {name}")
            else:
                count = f"SELECT count(*) FROM {name}"  # noqa: S608 - our own names
                assert await user.fetchval(count) == await owner.fetchval(count)
            await assert_refused(user, f"INSERT INTO {name} SELECT")
            await assert_refused(user, f"UPDATE {name} SET {column} = {column}")  # noqa: S608 - our own names
            await assert_refused(user, f"DELETE FROM {name}")  # noqa: S608 - our own names
            await assert_refused(user, f"TRUNCATE {name}")
        assert await user.fetchval("SELECT count(*) FROM prosa.messages") > 0


async def test_a_user_in_neither_role_sees_nothing(read_model_url: str) -> None:
    async with member_of(read_model_url) as url:
        async with connected(url) as user:
            for table in await tables_of(read_model_url):
                await assert_refused(user, f"SELECT * FROM prosa.{table['name']}")  # noqa: S608 - our own names
        database = Database(url)
        with pytest.raises(ReadModelUnavailable, match="closed to this user"):
            await Projecting(database).projector.positions([0])
        await database.close()


async def test_supabases_role_that_passes_by_policies_is_granted_nothing(database_url: str) -> None:
    async with connected(database_url) as owner:
        is_new = not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'service_role'")
        if is_new:
            await owner.execute("CREATE ROLE service_role BYPASSRLS")
        for kind in ("TABLES", "SCHEMAS", "ROUTINES"):
            await owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO service_role")
        try:
            await asyncio.to_thread(migrate, database_url)
            for table in await tables_of(database_url):
                for right in RIGHTS:
                    assert not await owner.fetchval(
                        "SELECT has_table_privilege('service_role', $1::regclass, $2)", f"prosa.{table['name']}", right
                    )
            assert not await owner.fetchval("SELECT has_schema_privilege('service_role', 'prosa', 'USAGE')")
        finally:
            await owner.execute("DROP OWNED BY service_role" + ("; DROP ROLE service_role" if is_new else ""))


async def test_databases_of_one_cluster_that_migrate_at_once_share_the_roles(cluster_without_roles: str) -> None:
    names = ("first", "second", "third")
    async with connected(cluster_without_roles) as administrator:
        for name in names:
            await administrator.execute(f"CREATE DATABASE {name}")
    urls = [in_database(cluster_without_roles, name) for name in names]

    await asyncio.gather(*(asyncio.to_thread(migrate_apart, url) for url in urls))

    for url in urls:
        async with member_of(url, "prosa_read") as user_url, connected(user_url) as user:
            assert await user.fetch("SELECT * FROM prosa.messages") == []


async def test_a_role_that_another_database_is_just_making_is_waited_for(cluster_without_roles: str) -> None:
    async with connected(cluster_without_roles) as other, connected(cluster_without_roles) as observer:
        await observer.execute("CREATE DATABASE late")
        transaction = other.transaction()
        await transaction.start()
        await other.execute("CREATE ROLE prosa_app NOLOGIN")
        migrating = asyncio.create_task(asyncio.to_thread(migrate_apart, in_database(cluster_without_roles, "late")))
        await until_somebody_waits(observer, "late")
        await transaction.commit()
        await migrating


async def test_an_owner_who_may_create_no_roles_is_told_what_is_to_be_done(cluster_without_roles: str) -> None:
    url = cluster_without_roles
    async with connected(url) as administrator:
        await administrator.execute("CREATE ROLE somebody LOGIN PASSWORD 'right'")
        await administrator.execute("CREATE DATABASE apart OWNER somebody")
    owner_url = in_database(signed_in_as(url, "somebody"), "apart")

    remarks = await asyncio.to_thread(migrate, owner_url)

    assert len(remarks) == 2
    assert "CREATE ROLE prosa_app NOLOGIN" in remarks[0]
    assert "CALL prosa.grant_to_roles()" in remarks[1]
    async with connected(url) as administrator, connected(owner_url) as owner:
        await administrator.execute("CREATE ROLE prosa_app NOLOGIN; CREATE ROLE prosa_read NOLOGIN")
        await owner.execute("CALL prosa.grant_to_roles()")
    assert await asyncio.to_thread(migrate, owner_url) == []
    log = random_log(44)
    async with member_of(in_database(url, "apart"), "prosa_app") as user_url:
        database = Database(user_url)
        await Projecting(database).catch_up(log.records)
        await assert_means(database, log.records)
        await database.close()


async def test_a_grant_beyond_the_list_is_taken_back_by_the_next_migration(database_url: str) -> None:
    await asyncio.to_thread(migrate, database_url)
    async with connected(database_url) as owner:
        await owner.execute("GRANT DELETE ON prosa.events TO prosa_app")
        await owner.execute("CALL prosa.grant_to_roles()")
    async with member_of(database_url, "prosa_app") as url:
        assert (await rights_of(url))["events"] == {"SELECT", "INSERT"}
