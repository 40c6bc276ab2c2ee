"""A length of time as a person writes it."""

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|min|h|d)")


def length_of(text: str) -> timedelta | None:
    """`90s`, `20m`, `1.5h` or `2d`; None where it is no length."""
    found = _LENGTH.fullmatch(text.strip().lower())
    return timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else None
