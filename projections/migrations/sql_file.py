"""Each migration is a plain `.sql` file next to its revision, so that other tools can run it too."""

from pathlib import Path

from alembic import context, op


def run_beside(revision_file: str) -> None:
    """Run the revision's `.sql` file: many statements at once, which only the driver's simple protocol can."""
    statements = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    if context.is_offline_mode():
        op.execute(statements.replace(":", r"\:"))
        return
    adapted = op.get_bind().connection.dbapi_connection
    assert adapted is not None  # noqa: S101 - a bind that is online has one
    adapted.run_async(lambda connection: connection.execute(statements))
