"""What all commands share: the two consoles, and what a user is told instead of a traceback."""

import unicodedata

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)


WIDE = 250
"""Columns where no terminal sets a limit: what is piped on is not to be folded."""


def print_table(table: Table) -> None:
    """As wide as the terminal; wide where there is none."""
    console.print(table, width=None if console.is_terminal else WIDE)


def printable(text: str) -> str:
    """The text without what could steer a terminal; line feeds stay."""
    return "".join(
        each if each == "\n" or unicodedata.category(each) not in ("Cc", "Cs") else "\N{REPLACEMENT CHARACTER}" for each in text
    )


class Complaint(Exception):
    """One sentence that says what is wrong and what to do; the command ends with exit code 1."""
