"""What the doctor sees of Postgres: on a real server, and of Supabase's addresses, which only their form tells."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from operations.doctor.database_address import encryption, is_public, supabase
from operations.doctor.findings import Severity
from projections.migrate import migrate, migrations_after
from tests.operations.doctor.looking import CANARY, look, look_at

WARNING, ERROR, OK = Severity.WARNING, Severity.ERROR, Severity.OK


@pytest.fixture
async def migrated(database_url: str) -> str:
    await asyncio.to_thread(migrate, database_url)
    return database_url


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def roles(admin: "asyncpg.Connection[asyncpg.Record]", migrated: str) -> AsyncIterator[None]:
    """Roles of every kind; they belong to the server, and are gone afterwards."""
    names = ("doctor_plain", "doctor_bypass", "anon")
    await admin.execute(
        f"CREATE ROLE doctor_plain LOGIN PASSWORD '{CANARY}' IN ROLE prosa_app;"
        f"CREATE ROLE doctor_bypass LOGIN BYPASSRLS PASSWORD '{CANARY}' IN ROLE prosa_app; CREATE ROLE anon"
    )
    yield
    for name in names:
        await admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def signed_in_as(url: str, name: str, password: str) -> str:
    return re.sub(r"//[^@]*@", f"//{name}:{password}@", url)


async def test_a_migrated_database_is_well(migrated: str) -> None:
    found = await look(database_url=migrated)
    for check in ("read model", "read model address", "migrations", "closed tables", "database role"):
        assert set(found.severities(check)) <= {OK}, found.told(check)
    assert "up to date" in found.of("migrations")[0].sentence


@pytest.mark.parametrize(
    ("version", "number", "severity"),
    [
        ("18beta1", 180000, OK),
        ("16.4 (Debian 16.4-1.pgdg120+2)", 160004, OK),
        ("14rc1", 140000, WARNING),
        ("9.6.24", 90624, WARNING),
    ],
)
async def test_a_server_of_any_version_is_told_by_its_number(
    version: str, number: int, severity: Severity, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beta's name is no number, nor is a distribution's."""
    monkeypatch.setattr("operations.doctor.read_model.sql", lambda _: f"SELECT '{version}' AS version, {number} AS number")
    found = await look_at("read model", database_url=database_url)
    assert found.severities("read model") == [severity]
    assert version in found.of("read model")[0].sentence


async def test_an_empty_database_has_no_tables_and_the_remedy_is_to_migrate(database_url: str) -> None:
    found = await look(database_url=database_url)
    [finding] = found.of("migrations")
    assert (finding.severity, finding.remedy) == (ERROR, "prosa migrate")
    assert [found.of(check) for check in ("closed tables", "read model lag")] == [[], []]


async def test_the_missing_migration_is_named(migrated: str, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    await admin.execute("UPDATE prosa.alembic_version SET version_num = '0001'")
    found = await look_at("migrations", database_url=migrated)
    assert f"lacks the migration {', '.join(migrations_after('0001'))}." in found.told("migrations")


async def test_a_database_of_a_newer_version_wants_that_version(
    migrated: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("UPDATE prosa.alembic_version SET version_num = 'from the future'")
    found = await look_at("migrations", database_url=migrated)
    assert "newer version" in found.told("migrations")


async def test_a_wrong_password_is_told_with_the_setting_and_not_shown(database_url: str) -> None:
    found = await look(database_url=signed_in_as(database_url, "postgres", CANARY))
    assert found.severities("read model") == [ERROR]
    assert "DATABASE_URL" in found.told("read model")
    assert "password" in found.told("read model")
    assert CANARY not in found.everything
    assert [found.of(check) for check in ("migrations", "database role", "closed tables")] == [[], [], []]


async def test_a_database_that_is_not_there_is_told(database_url: str) -> None:
    found = await look_at("read model", database_url=f"{database_url}_nothing")
    assert "create the database" in found.told("read model")


async def test_a_server_that_is_not_there_is_told_with_its_place() -> None:
    found = await look_at("read model", database_url=f"postgresql://someone:{CANARY}@127.0.0.1:1/nothing")
    assert found.severities("read model") == [ERROR]
    assert "127.0.0.1:1 " in found.told("read model")
    assert CANARY not in found.everything


@pytest.mark.parametrize(("role", "severities"), [(None, [ERROR]), ("doctor_bypass", [WARNING]), ("doctor_plain", [OK])], ids=str)
async def test_in_production_the_role_is_neither_superuser_nor_above_row_level_security(
    role: str | None, severities: Sequence[Severity], migrated: str, roles: None
) -> None:
    url = signed_in_as(migrated, role, CANARY) if role else migrated
    found = await look_at("database role", database_url=url, environment="production")
    assert found.severities("database role") == severities
    assert "prosa_app" in found.told("database role") or severities == [OK]
    assert CANARY not in found.everything


async def test_in_development_a_superuser_is_nobodys_concern(migrated: str) -> None:
    assert (await look_at("database role", database_url=migrated)).of("database role") == []


async def test_a_role_of_the_api_that_may_read_is_an_error(
    migrated: str, roles: None, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    assert (await look_at("closed tables", database_url=migrated)).severities("closed tables") == [OK]
    await admin.execute("GRANT SELECT ON prosa.messages TO anon")
    found = await look_at("closed tables", database_url=migrated)
    assert found.severities("closed tables") == [ERROR]
    assert "anon" in found.told("closed tables")


async def test_a_table_without_row_level_security_is_named(migrated: str, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    await admin.execute("ALTER TABLE prosa.replies DISABLE ROW LEVEL SECURITY")
    found = await look_at("closed tables", database_url=migrated)
    assert "off for replies" in found.told("closed tables")


async def test_all_of_it_can_be_seen_by_the_role_that_the_processes_use(migrated: str, roles: None) -> None:
    found = await look(database_url=signed_in_as(migrated, "doctor_plain", CANARY), environment="production")
    for check in ("read model", "migrations", "closed tables", "database role"):
        assert set(found.severities(check)) == {OK}, found.told(check)


POOLER = "aws-0-sa-east-1.pooler.supabase.com"


@pytest.mark.parametrize(
    ("url", "severity", "told"),
    [
        (f"postgresql://postgres.abc:p@{POOLER}:6543/postgres", OK, "transaction pooler"),
        (f"postgresql://prosa.abc:p@{POOLER}:5432/postgres", OK, "session pooler"),
        (f"postgresql://postgres:p@{POOLER}:6543/postgres", ERROR, "postgres.PROJECT"),
        (f"postgresql://postgres.abc:p@{POOLER}:5433/postgres", ERROR, "5433"),
        ("postgresql://postgres:p@db.abcdefghij.supabase.co:5432/postgres", OK, "direct"),
    ],
)
def test_supabases_addresses_are_recognised(url: str, severity: Severity, told: str) -> None:
    [finding] = [each for each in supabase(url) if each.severity is severity]
    assert told in f"{finding.sentence} {finding.remedy}"


@pytest.mark.parametrize(
    ("url", "severities"),
    [
        ("postgresql://u@db.example.com/x", [WARNING]),
        ("postgresql://u@db.example.com/x?sslmode=disable", [WARNING]),
        ("postgresql://u@db.example.com/x?sslmode=require", []),
        ("postgresql://u@db.example.com/x?sslmode=verify-full", []),
        ("postgresql://u@postgres/x", []),
        ("postgresql://u@10.0.0.3/x?sslmode=disable", []),
    ],
)
def test_a_public_database_must_be_reached_encrypted(url: str, severities: list[Severity]) -> None:
    assert [finding.severity for finding in encryption(url)] == severities


def test_what_a_public_host_is() -> None:
    assert [
        host for host in ("8.8.8.8", "db.example.com", "valkey", "127.0.0.1", "fd00::1", "db.internal") if is_public(host)
    ] == [
        "8.8.8.8",
        "db.example.com",
    ]
