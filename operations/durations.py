"""How long ago, as a person says it."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def ago(seconds: float) -> str:
    """In the largest unit that fits, cut: `3 min`, `47 h` is `1 d`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
