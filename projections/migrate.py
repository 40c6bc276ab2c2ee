"""Bring a database to the newest schema, or print how."""

import io
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from projections.postgres_errors import sorted_errors
from streams.errors import FatalError

NEWER = "the database was brought up to date by a newer version of Prosa"

LOCK_SECONDS = 30.0
"""How long a migration waits for another one, or for whoever else holds a lock that it needs: any login may take any."""
LOCKED = (
    "another migration runs, or somebody holds its lock or one on a table; who: SELECT pid, mode, granted FROM pg_locks "
    "WHERE locktype IN ('advisory', 'relation')"
)

_FOLDER = Path(__file__).parent / "migrations"


def migrate(database_url: str) -> Sequence[str]:
    """
    Run every migration that the database lacks, in one transaction. Several at once wait for each other, `LOCK_SECONDS` at most.

    Gives what the migrations could not do and somebody else must. Raises `ReadModelUnavailable`, and `FatalError` where the URL
    is wrong, somebody else holds a lock, or the database is newer than this version. Not to be called where an event loop runs.
    """
    config = _config()
    remarks: list[str] = []
    config.attributes.update(url=database_url, remarks=remarks, lock_seconds=LOCK_SECONDS)
    with sorted_errors(database_url):
        try:
            command.upgrade(config, "head")
        except DBAPIError as error:
            raised = _as_the_driver_raised_it(error)
            raise FatalError(LOCKED) if isinstance(raised, asyncpg.LockNotAvailableError) else raised from None
        except CommandError:
            raise FatalError(NEWER) from None
    return remarks


def migrations_after(revision: str | None) -> Sequence[str]:
    """
    The migrations that a database at this revision lacks, the oldest first; None: it has none yet.

    Raises `FatalError` where this version does not know the revision.
    """
    scripts = ScriptDirectory.from_config(_config())
    known = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    if revision is None:
        return known
    if revision not in known:
        raise FatalError(NEWER)
    return known[known.index(revision) + 1 :]


def migrations_as_sql(after: str | None = None) -> str:
    """
    All migrations as one plain SQL script, for a tool of your own, or those that come `after` one of them.

    Raises `FatalError` where there is no such migration.
    """
    output = io.StringIO()
    config = _config()
    config.output_buffer = output
    try:
        command.upgrade(config, f"{after}:head" if after else "head", sql=True)
    except CommandError:
        raise FatalError(f"there is no migration {after}") from None
    return output.getvalue()


def _as_the_driver_raised_it(error: DBAPIError) -> BaseException:
    return error.orig.__cause__ or error if error.orig else error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _FOLDER.as_posix().replace("%", "%%"))
    return config
