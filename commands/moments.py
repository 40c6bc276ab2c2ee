"""A moment that a person names: how long ago, or when."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|min|h|d)")


def moment(text: str, option: str) -> datetime:
    """`90min`, `2h` or `3d` ago, or a date with or without a time: in UTC, unless it says otherwise."""
    ago = _AGO.fullmatch(text.strip().lower())
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        named = datetime.fromisoformat(text.strip())
        return (named if named.tzinfo else named.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("give how long ago, as 2h, or a moment, as 2026-11-20T10:00", param_hint=option) from None
