"""Postgres: whether it answers, and what it is."""

from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from projections.database import sql
from streams.errors import ConfigurationError, ReadModelUnavailable

OLDEST_TRIED = 15


async def read_model(system: System) -> Sequence[Finding]:
    try:
        async with system.database.transaction(readonly=True) as connection:
            version: str = await connection.fetchval(sql("server_version"))
    except ConfigurationError as refused:
        code = str(refused).rpartition(" ")[2].rstrip(".")
        remedy = REMEDIES.get(code, "put user, password and database right in DATABASE_URL")
        return [error(Group.REACHABLE, f"Postgres at {system.database_server} refuses us: {code}.", remedy)]
    except ReadModelUnavailable as away:
        code = str(away).rpartition(": ")[2]
        remedy = "start it, or set DATABASE_URL to where it listens"
        return [error(Group.REACHABLE, f"Postgres at {system.database_server} does not answer: {code}.", remedy)]
    if int(version.partition(".")[0]) < OLDEST_TRIED:
        remedy = f"use Postgres {OLDEST_TRIED} or newer"
        return [warning(Group.REACHABLE, f"Postgres {version} answers; nobody tried Prosa on one so old.", remedy)]
    return [well(Group.REACHABLE, f"Postgres {version} answers at {system.database_server}.")]


REMEDIES = {
    "InvalidPasswordError": "put the right user and password into DATABASE_URL",
    "InvalidAuthorizationSpecificationError": "put the right user into DATABASE_URL, or let pg_hba.conf admit it",
    "InvalidCatalogNameError": "create the database that DATABASE_URL names, or name another",
}
