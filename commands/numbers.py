"""Numbers that a person gives: each is bounded, so that whatever is reckoned from it fits a column of Postgres and a clock."""

from math import isnan
from typing import Annotated, Any

import typer

MOST_SHOWN = 1_000_000
LAST_PAGE = 1_000_000_000
LONGEST_WAIT_SECONDS = 24 * 3600.0
LONGEST_AGO_HOURS = 100 * 366 * 24.0

Page = Annotated[int, typer.Option("--page", min=1, max=LAST_PAGE, help="Which page, from 1 on.")]


def limit(meaning: str) -> Any:
    """The option that says how many are shown."""
    return typer.Option("--limit", min=1, max=MOST_SHOWN, help=meaning)


def seconds(meaning: str, **others: Any) -> Any:
    """An option that says how long something takes, a day at most."""
    return _measure(LONGEST_WAIT_SECONDS, meaning, **others)


def hours(meaning: str) -> Any:
    """An option that counts hours, up to a hundred years of them."""
    return _measure(LONGEST_AGO_HOURS, meaning)


def _measure(most: float, meaning: str, **others: Any) -> Any:
    return typer.Option(min=0, max=most, help=meaning, callback=_that_counts, **others)


def _that_counts(value: float | None) -> float | None:
    """No bound refuses nan, which is neither less nor more than anything."""
    if value is not None and isnan(value):
        raise typer.BadParameter("nan is no number")
    return value
