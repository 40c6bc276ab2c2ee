"""Each migration is a plain `.sql` file next to its revision, so that other tools can run it too."""

from pathlib import Path
from typing import Any

import asyncpg
from alembic import context, op


def run_beside(revision_file: str) -> None:
    """
    Run the revision's `.sql` file: many statements at once, which only the driver's simple protocol can.

    What Postgres remarks on meanwhile goes to the list `remarks` of whoever called.
    """
    statements = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    if context.is_offline_mode():
        op.execute(statements.replace(":", r"\:"))
        return
    adapted = op.get_bind().connection.dbapi_connection
    assert adapted is not None  # noqa: S101 - a bind that is online has one
    adapted.run_async(lambda connection: _run(connection, statements, context.config.attributes["remarks"]))


async def _run(connection: asyncpg.Connection, statements: str, remarks: list[str]) -> None:
    def note(_: Any, message: Any) -> None:
        if message.severity == "NOTICE" and message.sqlstate == RAISED_BY_US:
            remarks.append(message.message)

    connection.add_log_listener(note)
    await connection.execute(statements)
    connection.remove_log_listener(note)


RAISED_BY_US = "00000"
"""`RAISE NOTICE` has no code of its own; what Postgres says by itself (skipping what exists) has one."""
