"""Postgres: whether it answers, and what it is."""

from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, parted, warning, well
from operations.doctor.system import System
from projections.database import sql
from streams.errors import ConfigurationError, ReadModelUnavailable

OLDEST_TRIED = 15


async def read_model(system: System) -> Sequence[Finding]:
    try:
        async with system.database.transaction(readonly=True) as connection:
            [server] = await connection.fetch(sql("server_version"))
    except ConfigurationError as refused:
        return [error(Group.REACHABLE, *parted(str(refused)))]
    except ReadModelUnavailable as away:
        code = str(away).partition(": ")[0]
        remedy = "start it, or set DATABASE_URL to where it listens"
        return [error(Group.REACHABLE, f"Postgres at {system.database_server} does not answer: {code}.", remedy)]
    version = server["version"]
    if server["number"] < OLDEST_TRIED * 10_000:
        remedy = f"use Postgres {OLDEST_TRIED} or newer"
        return [warning(Group.REACHABLE, f"Postgres {version} answers; nobody tried Prosa on one so old.", remedy)]
    return [well(Group.REACHABLE, f"Postgres {version} answers at {system.database_server}.")]
