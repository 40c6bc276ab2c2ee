"""What all commands share: the two consoles, and what a user is told instead of a traceback."""

import unicodedata
from datetime import datetime

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)


WIDE = 250
"""Columns where no terminal sets a limit: what is piped on is not to be folded."""


def print_table(table: Table) -> None:
    """As wide as the terminal; wide where there is none."""
    where = console if console.is_terminal else Console(highlight=False, width=WIDE)
    where.print(table)


_TURNS_WRITING_ROUND = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's controls of direction: what follows one may be shown as if it stood elsewhere."""


def printable(text: str) -> str:
    """The text without what could steer a terminal or the order of what is shown; line feeds stay."""
    return "".join(each if _is_harmless(each) else "\N{REPLACEMENT CHARACTER}" for each in text)


def _is_harmless(character: str) -> bool:
    if character in _TURNS_WRITING_ROUND:
        return False
    return character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")


def plain(value: object) -> str:
    """What JSON has no form for, such as a time."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class Complaint(Exception):
    """One sentence that says what is wrong and what to do; the command ends with exit code 1."""
