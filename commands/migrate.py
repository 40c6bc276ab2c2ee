"""`prosa migrate`: the schema of the read model."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from commands.configured import database_url_here
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import Complaint, console
from streams.errors import ReadModelUnavailable


def migrate(
    sql: Annotated[bool, typer.Option("--sql", help="Print the migrations as plain SQL, and change nothing.")] = False,
    after: Annotated[
        str | None, typer.Option(metavar="MIGRATION", help="With --sql: only those after this one, such as 0002.")
    ] = None,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Bring the database of DATABASE_URL to the newest schema. Nothing else needs to be set."""
    from projections import migrate as migrations

    if after is not None and not sql:
        raise Complaint("--after goes with --sql; a database knows itself which migrations it lacks")
    if sql:
        typer.echo(migrations.migrations_as_sql(after))
        return
    try:
        url = database_url_here(data)
        remarks = migrations.migrate(url)
    except ReadModelUnavailable as error:
        raise Complaint(f"Postgres does not answer: {error}; start it, or set DATABASE_URL to where it listens") from None
    for remark in remarks:
        console.print(remark, style="yellow", soft_wrap=True)
    console.print(f"The database {_place(url)} is up to date.", markup=False, soft_wrap=True)


def _place(url: str) -> str:
    """Where it is, without a name or a password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
