"""The drawn tree of errors is the real one."""

import re

from streams import errors
from streams.errors import ProsaError

INDENT = 4


def drawn() -> list[tuple[int, str]]:
    """Each error of the picture, with how deep it stands."""
    found = re.findall(r"^    ([│├└─ ]*)([A-Z][A-Za-z]+)", errors.__doc__ or "", re.MULTILINE)
    return [(len(branch) // INDENT, name) for branch, name in found]


def real(error: type[ProsaError] = ProsaError, depth: int = 0) -> list[tuple[int, str]]:
    """What stands in that file; other rooms may hang leaves of their own on it."""
    below = [child for child in error.__subclasses__() if child.__module__ == errors.__name__]
    return [(depth, error.__name__), *(found for child in below for found in real(child, depth + 1))]


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn() == real()
