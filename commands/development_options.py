"""The options of whatever speaks to `prosa dev`."""

from pathlib import Path
from typing import Annotated

import typer

DATA_DIRECTORY = Path(".prosa")

Directory = Annotated[Path, typer.Option("--data", help="Where the embedded servers keep their data.", file_okay=False)]
