"""Who we are in Postgres, and who else may look."""

from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from projections.database import sql

REMEDY = "let DATABASE_URL name a role of its own: CREATE ROLE prosa LOGIN PASSWORD '…' IN ROLE prosa_app"


async def database_role(system: System) -> Sequence[Finding]:
    async with system.database.transaction(readonly=True) as connection:
        role = await connection.fetchrow(sql("own_role"))
    assert role is not None  # noqa: S101 - who is connected has a role
    if not system.is_production:
        return []
    if role["is_superuser"]:
        return [error(Group.SAFE, f"The role {role['name']} of DATABASE_URL is a superuser.", REMEDY)]
    if role["passes_policies"]:
        return [warning(Group.SAFE, f"The role {role['name']} of DATABASE_URL passes by row-level security.", REMEDY)]
    return [well(Group.SAFE, f"The role {role['name']} of DATABASE_URL is no superuser.")]


async def closed_tables(system: System) -> Sequence[Finding]:
    async with system.database.transaction(readonly=True) as connection:
        granted = await connection.fetch(sql("granted_to_everybody"))
        unprotected = await connection.fetch(sql("tables_without_policies"))
    findings = [
        error(
            Group.SAFE,
            f"The role {row['role']}, which the API of Supabase lends to strangers, may use {row['tables']} tables.",
            REVOKE,
        )
        for row in granted
    ]
    if unprotected:
        names = ", ".join(row["name"] for row in unprotected)
        remedy = "ALTER TABLE prosa.NAME ENABLE ROW LEVEL SECURITY"
        findings.append(warning(Group.SAFE, f"Row-level security is off for {names}.", remedy))
    return findings or [well(Group.SAFE, "Row-level security is on for every table, and no role of an API may use one.")]


REVOKE = "REVOKE ALL ON SCHEMA prosa FROM anon, authenticated; REVOKE ALL ON ALL TABLES IN SCHEMA prosa FROM anon, authenticated"
