"""Whether the schema is of this version."""

from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, parted, well
from operations.doctor.system import System
from projections.database import sql
from projections.migrate import migrations_after
from streams.errors import FatalError


async def migrations(system: System) -> Sequence[Finding]:
    async with system.database.transaction(readonly=True) as connection:
        has_any = await connection.fetchval(sql("has_migrations"))
        revision: str | None = await connection.fetchval(sql("migration")) if has_any else None
    try:
        missing = migrations_after(revision)
    except FatalError as newer:
        return [error(Group.CONFIGURED, *parted(str(newer), "install that version, or a newer one"))]
    if revision is None:
        return [error(Group.MISSING, "The database has no tables of Prosa.", "prosa migrate")]
    if missing:
        return [error(Group.MISSING, f"The database lacks the migration {', '.join(missing)}.", "prosa migrate")]
    return [well(Group.CONFIGURED, f"The schema is up to date: migration {revision}.")]
