"""How long, and how long ago, as a person says it."""

from itertools import pairwise

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def how_long(seconds: int) -> str:
    """In the two largest units: `25 h` and a bit is `1 d 1 h`."""
    for (unit, length), (smaller, rest) in pairwise(_UNITS):
        if seconds >= length:
            left = seconds % length // rest
            return f"{seconds // length} {unit} {left} {smaller}" if left else f"{seconds // length} {unit}"
    return ago(seconds)


def ago(seconds: float) -> str:
    """In the largest unit that fits, cut: `3 min`, `47 h` is `1 d`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
