"""The schema: made once however often and by whomever, the same as plain SQL, and closed to strangers."""

import asyncio
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from projections.database import Database
from projections.migrate import migrate, migrations_as_sql
from streams.errors import ConfigurationError, FatalError, ReadModelUnavailable
from tests.projections.random_log import random_log
from tests.projections.read_model import Projecting, assert_means

SCHEMA = """
SELECT 'column' AS kind, table_name, column_name AS name, concat_ws(' ', data_type, is_nullable, column_default) AS detail
FROM information_schema.columns WHERE table_schema = 'prosa'
UNION ALL
SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'prosa'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'prosa'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'policy', tablename, policyname, concat_ws(' ', roles, cmd, qual, with_check) FROM pg_policies WHERE schemaname = 'prosa'
UNION ALL
SELECT 'table', relname, relkind::text, concat_ws(' ', relrowsecurity, relacl, obj_description(oid))
FROM pg_class WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p')
UNION ALL
SELECT 'version', version_num, '', '' FROM prosa.alembic_version
ORDER BY 1, 2, 3, 4
"""

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"


GRANTS = """
SELECT grantee, table_name FROM information_schema.role_table_grants WHERE table_schema = 'prosa' AND grantee = ANY ($1)
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Made before any migration, to the test's own database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def schema_of(connection: asyncpg.Connection) -> list[tuple[str, ...]]:
    async with connection.transaction():
        await connection.execute("SET LOCAL search_path = pg_catalog")  # else names are shown as short as they resolve
        return [tuple(row) for row in await connection.fetch(SCHEMA)]


async def test_migrations_that_run_again_change_nothing(database_url: str, connection: asyncpg.Connection) -> None:
    await asyncio.to_thread(migrate, database_url)
    once = await schema_of(connection)
    await connection.execute("INSERT INTO prosa.checkpoints (partition, epoch, position, state) VALUES (0, 1, 5, '{}')")

    await asyncio.to_thread(migrate, database_url)

    assert await schema_of(connection) == once
    assert await connection.fetchval("SELECT position FROM prosa.checkpoints") == 5


async def test_migrations_that_run_at_once_wait_for_each_other(database_url: str, connection: asyncpg.Connection) -> None:
    """In processes of their own, as several workers that start at once would."""
    program = "import sys; from projections.migrate import migrate; migrate(sys.argv[1])"
    running = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, database_url) for _ in range(3)]
    assert await asyncio.gather(*(process.wait() for process in running)) == [0, 0, 0]

    assert await connection.fetchval("SELECT count(*) FROM prosa.alembic_version") == 1


@pytest.mark.parametrize("login", ["a reader's", "the owner's"])
async def test_nobody_holds_the_migrations_up_for_ever(
    login: str, database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any login may take the lock of the migrations; the owner may lock a table too."""
    await asyncio.to_thread(migrate, database_url)
    monkeypatch.setattr("projections.migrate.LOCK_SECONDS", 0.2)
    held = "SELECT pg_advisory_xact_lock(7706553287)" if login == "a reader's" else "LOCK TABLE prosa.alembic_version"
    async with connection.transaction():
        await connection.execute(held)
        with pytest.raises(FatalError, match="another migration runs, or somebody holds its lock"):
            await asyncio.wait_for(asyncio.to_thread(migrate, database_url), 10)
    await asyncio.to_thread(migrate, database_url)


async def test_the_plain_sql_makes_the_same_schema(database_url: str, connection: asyncpg.Connection, migrated_url: str) -> None:
    await connection.execute(migrations_as_sql())

    other = await asyncpg.connect(migrated_url)
    assert await schema_of(connection) == await schema_of(other)
    await other.close()
    await asyncio.to_thread(migrate, database_url)
    database, log = Database(database_url), random_log(1)
    await Projecting(database).catch_up(log.records)
    await assert_means(database, log.records)
    await database.close()


async def test_the_plain_sql_after_a_migration_goes_on_where_that_one_ended(
    database_url: str, connection: asyncpg.Connection, migrated_url: str
) -> None:
    everything = migrations_as_sql()
    first = everything[: everything.index("-- Running upgrade 0001 -> 0002")]

    await connection.execute(first + "COMMIT;")
    await connection.execute(migrations_as_sql("0001"))

    other = await asyncpg.connect(migrated_url)
    assert await schema_of(connection) == await schema_of(other)
    await other.close()
    with pytest.raises(FatalError, match="no migration 9999"):
        migrations_as_sql("9999")


async def test_a_migration_that_fails_leaves_nothing(database_url: str, connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE SCHEMA prosa; CREATE TABLE prosa.skipped_events (mine integer)")

    with pytest.raises(Exception, match="already exists"):
        await asyncio.to_thread(migrate, database_url)

    assert [row["relname"] for row in await connection.fetch(TABLES)] == ["skipped_events"]
    await connection.execute("DROP TABLE prosa.skipped_events")
    await asyncio.to_thread(migrate, database_url)


async def test_unqualified_names_resolve_on_new_connections_of_the_same_role(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await asyncio.to_thread(migrate, database_url)

    new = await asyncpg.connect(database_url)
    assert await new.fetch("SELECT * FROM conversations") == []
    assert await new.fetchval("SHOW search_path") == 'prosa, "$user", public'
    await new.close()


async def test_row_level_security_is_on_for_every_table(migrated_url: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    open_tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p') AND NOT relrowsecurity"
    )
    everything = await connection.fetch(TABLES)
    await connection.close()

    assert open_tables == []
    assert {"conversations", "messages", "replies", "dead_letters", "checkpoints", "events", "events_0", "alembic_version"} <= {
        row["relname"] for row in everything
    }


async def test_supabases_anonymous_roles_are_granted_nothing_even_where_new_tables_are_opened_to_them(
    database_url: str, connection: asyncpg.Connection
) -> None:
    """As Supabase sets a project up: default privileges hand every new table to these roles."""
    made = []
    for role in ("anon", "authenticated"):
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f"CREATE ROLE {role}")
            made.append(role)
        await connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}")
        await connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {role}")
    await connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")

    await asyncio.to_thread(migrate, database_url)

    try:
        granted = await connection.fetch(GRANTS, ["anon", "authenticated", "PUBLIC"])
        assert [tuple(row) for row in granted] == []
        for role in ("anon", "authenticated"):
            assert not await connection.fetchval("SELECT has_schema_privilege($1, 'prosa', 'USAGE')", role)
            assert not await connection.fetchval("SELECT has_table_privilege($1, 'prosa.messages', 'SELECT')", role)
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {role}")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with connection.transaction():
                        await connection.fetch("SELECT * FROM prosa.messages")
    finally:
        for role in ("anon", "authenticated"):
            await connection.execute(f"DROP OWNED BY {role}")
        for role in made:
            await connection.execute(f"DROP ROLE {role}")


async def test_a_granted_role_still_sees_no_rows_without_a_policy(database_url: str, connection: asyncpg.Connection) -> None:
    await asyncio.to_thread(migrate, database_url)
    role = f"reader_{uuid4().hex}"
    await connection.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA prosa TO {role}")
    await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA prosa TO {role}")
    await connection.execute("INSERT INTO prosa.checkpoints (partition, epoch, position, state) VALUES (0, 1, 5, '{}')")
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {role}")
        seen = await connection.fetch("SELECT * FROM prosa.checkpoints")
    await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert seen == []


async def test_the_owner_of_the_database_who_is_no_superuser_migrates_and_projects(
    database_url: str, connection: asyncpg.Connection
) -> None:
    role = f"owner_{uuid4().hex}"
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    await connection.execute(f"ALTER DATABASE {urlsplit(database_url).path[1:]} OWNER TO {role}")
    url = f"postgresql://{role}:right@{database_url.partition('@')[2]}"

    await asyncio.to_thread(migrate, url)
    await asyncio.to_thread(migrate, url)

    database, log = Database(url), random_log(2)
    await Projecting(database).catch_up(log.records)
    await assert_means(database, log.records)
    await database.close()
    await connection.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_url_may_carry_the_drivers_options(database_url: str, connection: asyncpg.Connection) -> None:
    await asyncio.to_thread(migrate, f"{database_url}?sslmode=prefer&application_name=prosa")

    assert await connection.fetchval("SELECT count(*) FROM prosa.alembic_version") == 1


async def test_migrating_what_cannot_be_reached_says_so_in_one_error(database_url: str) -> None:
    place = database_url.partition("@")[2]
    for url, error in {
        f"postgresql://nobody-{uuid4().hex}:wrong@{place}": ConfigurationError,
        "postgresql://nobody:wrong@127.0.0.1:1/nothing": ReadModelUnavailable,
        "mysql://nobody:wrong@127.0.0.1/nothing": ConfigurationError,
    }.items():
        with pytest.raises(error) as raised:
            await asyncio.to_thread(migrate, url)
        assert "wrong" not in str(raised.value)
