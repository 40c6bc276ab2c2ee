"""The file `.env` of the working directory: whether it can be read, and names in it that look like one of ours and are none."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

ENV_FILE = Path(".env")

_ALIKE = 0.8
"""Of a name's letters, as difflib counts them: REDIS_URI is meant for REDIS_URL, POSTGRES_USER for nothing."""


@dataclass(frozen=True, slots=True)
class Misspelling:
    """A name in `.env` that nobody reads, and the setting that was probably meant."""

    name: str
    meant: str


def problem_of_env_file(path: Path = ENV_FILE) -> str | None:
    """Why the file cannot be read, if it is there."""
    try:
        path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        return "is a directory; remove it, or put a file in its place"
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start}); save it as UTF-8"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def misspellings(known: Collection[str], path: Path = ENV_FILE) -> list[Misspelling]:
    """Names in the file that are no setting and close to one. Other programs keep their variables there too, and may."""
    if problem_of_env_file(path) is not None:
        return []
    ours = {name.upper() for name in known}
    unknown = [name for name in dotenv_values(path, interpolate=False) if name.upper() not in ours]
    alike = {name: difflib.get_close_matches(name.upper(), ours, n=1, cutoff=_ALIKE) for name in unknown}
    return [Misspelling(name, meant[0]) for name, meant in alike.items() if meant]
