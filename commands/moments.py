"""A moment that a person names: how long ago, or when."""

from datetime import UTC, datetime, timedelta

import typer

from commands.lengths import length_of

LONGEST = timedelta(days=36_600)
"""A hundred years: every date in them is one that a computer knows."""


def moment(text: str, option: str) -> datetime:
    """`90min`, `2h` or `3d` ago, or a date with or without a time: in UTC, unless it says otherwise."""
    ago = length_of(text)
    if ago is not None and ago > LONGEST:
        raise typer.BadParameter(f"that is too long ago; give {LONGEST.days} days at most", param_hint=option)
    try:
        if ago is not None:
            return datetime.now(UTC) - ago
        named = datetime.fromisoformat(text.strip())
        return (named if named.tzinfo else named.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("give how long ago, as 2h, or a moment, as 2026-11-20T10:00", param_hint=option) from None
