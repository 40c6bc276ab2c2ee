"""Bring a database to the newest schema, or print how."""

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

_FOLDER = Path(__file__).parent / "migrations"


def migrate(database_url: str) -> None:
    """Run every migration that the database lacks, in one transaction. Several at once wait for each other."""
    config = _config()
    config.attributes["url"] = make_url(database_url).set(drivername="postgresql+asyncpg")
    command.upgrade(config, "head")


def migrations_as_sql() -> str:
    """All migrations as one plain SQL script, for a tool of your own."""
    output = io.StringIO()
    config = _config()
    config.output_buffer = output
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _FOLDER.as_posix().replace("%", "%%"))
    return config
