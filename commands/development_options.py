"""The options of whatever speaks to `prosa dev`."""

from pathlib import Path
from typing import Annotated

import typer

from development.directory import DEFAULT_DIRECTORY

DATA_DIRECTORY = DEFAULT_DIRECTORY

Directory = Annotated[Path, typer.Option("--data", help="Where the embedded servers keep their data.", file_okay=False)]
