"""`prosa migrate`: the schema of the read model."""

from typing import Annotated

import typer

from commands.terminal import Complaint, console
from settings import load_settings
from streams.errors import ReadModelUnavailable


def migrate(
    sql: Annotated[bool, typer.Option("--sql", help="Print the migrations as plain SQL, and change nothing.")] = False,
) -> None:
    """Bring the database of DATABASE_URL to the newest schema."""
    from projections import migrate as migrations

    if sql:
        typer.echo(migrations.migrations_as_sql())
        return
    try:
        remarks = migrations.migrate(load_settings().database_url.get_secret_value())
    except ReadModelUnavailable as error:
        raise Complaint(f"the database of DATABASE_URL does not answer: {error}") from None
    for remark in remarks:
        console.print(remark, style="yellow", soft_wrap=True)
    console.print("The database is up to date.")
