"""What all commands share: the two consoles, tables, the one form of JSON, and what a user is told instead of a traceback."""

import json
import os
import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


class _Output(Console):
    """Rich's, except that a command may decide what it does when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Raises the `BrokenPipeError` on, which ends a command without a word; what is printed from here on goes nowhere."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
        raise  # Rich calls this where it has caught it


console = _Output(highlight=False, emoji=False)
complaints = _Output(stderr=True, highlight=False, emoji=False)


INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

WIDE = 250
"""Columns where no terminal sets a limit: what is piped on is not to be folded."""

AsJson = Annotated[bool, typer.Option("--json", help="For a script.")]


def table_of(*columns: str, unbroken: Collection[str] = ()) -> Table:
    """An empty table; an `unbroken` column, such as that of an id, keeps each cell on one line."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in unbroken)
    return table


def add_row(table: Table, cells: Iterable[str], *, style: str | None = None) -> None:
    """Text of others is shown, and never obeyed: see `printable`."""
    table.add_row(*(Text(printable(cell)) for cell in cells), style=style)


def print_table(table: RenderableType) -> None:
    """As wide as the terminal; wide where there is none."""
    where = console if console.is_terminal else _Output(highlight=False, emoji=False, width=WIDE)
    where.print(table)


_TURNS_WRITING_ROUND = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's controls of direction: what follows one may be shown as if it stood elsewhere."""


def printable(text: str) -> str:
    """The text without what could steer a terminal or the order of what is shown; line feeds stay."""
    return "".join(each if _is_harmless(each) else "\N{REPLACEMENT CHARACTER}" for each in text)


def print_json(document: object, *, indent: int | None = 2) -> None:
    """On standard output; on one line where the indent is None."""
    typer.echo(as_json(document, indent=indent))


def as_json(document: object, *, indent: int | None = 2) -> str:
    """Letters of every script stand there as they are; what `printable` takes out is escaped, and so is lost to nobody."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=plain)
    return "".join(each if _is_harmless(each) else f"\\u{ord(each):04x}" for each in text)


def _is_harmless(character: str) -> bool:
    if character in _TURNS_WRITING_ROUND:
        return False
    return character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")


def plain(value: object) -> str:
    """What JSON has no form for, such as a time."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class Complaint(Exception):
    """One sentence that says what is wrong and what to do; the command ends with exit code 1."""
