"""A Python in which some packages are not installed, though they are."""

import os
from collections.abc import Iterable
from pathlib import Path

SITECUSTOMIZE = """
import sys
from importlib.machinery import PathFinder

MISSING = {missing!r}


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in MISSING else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def without(packages: Iterable[str], directory: Path) -> dict[str, str]:
    """The environment of such a Python; the folder is for the file that makes it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE.format(missing=sorted(packages)))
    path = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}
