"""How a command is typed here, so that it can be pasted into another terminal."""

import shlex
import shutil
import sys
from pathlib import Path

from development.directory import RunDirectory


def prosa_command() -> str:
    """`prosa` where that is on the path, else the shortest way to it from the working directory."""
    program = Path(sys.executable).with_name("prosa")
    found = shutil.which("prosa")
    if found is not None and (not program.exists() or Path(found).samefile(program)):
        return "prosa"
    return shlex.quote(shown(program)) if program.exists() else f"{shlex.quote(shown(Path(sys.executable)))} -m cli"


def data_option(directory: RunDirectory) -> str:
    """What makes a command find this directory; nothing where it finds it by itself."""
    return "" if directory.is_default else f" --data {shlex.quote(shown(directory.path))}"


def shown(path: Path) -> str:
    """Relative where it lies below the working directory."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
