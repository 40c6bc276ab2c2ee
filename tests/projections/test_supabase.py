"""What `docs/supabase.md` has people run, in a database that is set up as Supabase sets one up."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from projections.database import Database
from projections.migrate import migrate
from simulator.servers import EmbeddedPostgres, free_port
from tests.projections.random_log import random_log
from tests.projections.read_model import Projecting, assert_means
from tests.projections.roles import PASSWORD, signed_in_as

PAGE = Path(__file__).parent.parent.parent / "docs" / "supabase.md"
PROCESSES, SEARCH_PATH, READER, POLICIES, TAKEN_BACK = re.findall(
    r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)

SET_UP = f"""
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE supabase_owner LOGIN CREATEROLE BYPASSRLS PASSWORD '{PASSWORD}';
CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD '{PASSWORD}' IN ROLE anon, authenticated, service_role;
CREATE SCHEMA auth;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT current_setting('request.jwt.claims', true)::jsonb $$;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role, supabase_owner;
GRANT CREATE ON DATABASE postgres TO supabase_owner;
"""
"""As far as roles go: the project's user is no superuser, and the API signs in as `authenticator` and changes its role."""


@pytest.fixture(scope="module")
def project_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of its own: its roles are nobody else's."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("supabase"), free_port())
    server.start()
    try:
        yield urlunsplit(urlsplit(server.url)._replace(path="/postgres"))
    finally:
        server.stop()


@pytest.fixture(scope="module")
def migrated_project_url(project_url: str) -> str:
    """Set up, and migrated by the project's user."""
    asyncio.run(_execute(project_url, SET_UP))
    assert migrate(signed_in_as(project_url, "supabase_owner")) == []
    asyncio.run(_execute(signed_in_as(project_url, "supabase_owner"), PROCESSES + SEARCH_PATH + READER))
    asyncio.run(_execute(project_url, f"ALTER ROLE prosa PASSWORD '{PASSWORD}'; ALTER ROLE dashboard PASSWORD '{PASSWORD}'"))
    return project_url


@pytest.fixture
async def owner(migrated_project_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(signed_in_as(migrated_project_url, "supabase_owner"))
    yield connection
    await connection.close()


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()


async def through_the_api(url: str, role: str, query: str, **claims: object) -> list[asyncpg.Record]:
    """As the API does it: sign in as one who may do nothing, take the caller's role, and note their claims."""
    connection = await asyncpg.connect(signed_in_as(url, "authenticator"))
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(f"SET LOCAL ROLE {role}")
            await connection.execute("SELECT set_config('request.jwt.claims', $1, true)", json.dumps(claims))
            return list(await connection.fetch(query))
    finally:
        await connection.close()


async def test_the_processes_project_as_the_user_that_the_page_makes(migrated_project_url: str) -> None:
    log = random_log(51)
    database = Database(signed_in_as(migrated_project_url, "prosa"))
    await Projecting(database).catch_up(log.records)
    await assert_means(database, log.records)
    await database.close()


async def test_a_table_that_somebody_makes_afterwards_does_not_land_in_our_schema(owner: asyncpg.Connection) -> None:
    assert await owner.fetchval("SHOW search_path") == '"$user", public'


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_the_api_shows_nothing(migrated_project_url: str, role: str) -> None:
    for table in ("conversations", "messages", "events", "threads"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await through_the_api(migrated_project_url, role, f"SELECT * FROM prosa.{table}")  # noqa: S608 - our own names


async def test_the_dashboards_user_reads_everything(migrated_project_url: str) -> None:
    connection = await asyncpg.connect(signed_in_as(migrated_project_url, "dashboard"))
    assert await connection.fetchval("SELECT count(*) FROM prosa.messages") > 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM prosa.messages")
    await connection.close()


async def test_a_policy_shows_rows_to_those_it_names_until_it_is_taken_back(
    migrated_project_url: str, owner: asyncpg.Connection
) -> None:
    query = "SELECT id FROM prosa.messages"
    reader, guest = {"prosa": "reader"}, {"prosa": "guest"}
    await owner.execute(POLICIES)

    assert await through_the_api(migrated_project_url, "authenticated", query, app_metadata=reader)
    assert await through_the_api(migrated_project_url, "authenticated", query, app_metadata=guest) == []
    assert await through_the_api(migrated_project_url, "authenticated", query, user_metadata=reader) == []
    for role, table in (("anon", "messages"), ("authenticated", "events"), ("service_role", "messages")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await through_the_api(migrated_project_url, role, f"SELECT * FROM prosa.{table}", app_metadata=reader)  # noqa: S608

    await owner.execute(TAKEN_BACK)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await through_the_api(migrated_project_url, "authenticated", query, app_metadata=reader)
