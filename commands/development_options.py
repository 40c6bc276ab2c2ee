"""The options of whatever speaks to `prosa dev`."""

from pathlib import Path
from typing import Annotated

import typer

from development.directory import DEFAULT_DIRECTORY

DATA_DIRECTORY = None
"""Nothing was given: `directory_of` says where that is, and `commands.configured` whether it is meant."""

Directory = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help=f"The directory of the prosa dev that is meant. Not given: {DEFAULT_DIRECTORY}, where one runs or has stopped there "
        "and the environment sets neither REDIS_URL nor DATABASE_URL (where it has stopped, nor does .env, but to the default), "
        "and neither of them sets ENVIRONMENT=production.",
        file_okay=False,
        show_default=False,
    ),
]

RunsIn = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Where the embedded servers keep their data.", file_okay=False, show_default=str(DEFAULT_DIRECTORY)
    ),
]


def directory_of(given: Path | None) -> Path:
    return given or DEFAULT_DIRECTORY
