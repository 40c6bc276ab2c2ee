"""`prosa clock`: later at once, while developing."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from commands.acting import act_on
from commands.development_options import DATA_DIRECTORY, Directory
from commands.lengths import length_of
from commands.terminal import console

if TYPE_CHECKING:
    from operations.connection import Connection

clock = typer.Typer(no_args_is_help=True, help="The development clock: silence without waiting for it.")


@clock.callback()
def _group() -> None:
    """A group, so that its one command has a name."""


@clock.command(epilog="Example: prosa clock advance 20m")
def advance(
    by: Annotated[str, typer.Argument(metavar="LENGTH", help="How much later it is to be: 90s, 20m, 25h or 2d.")],
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Let time pass: what becomes due by then is idle or expired at once.

    Development only, and it never goes back: the log's time runs ahead of the world's from here on.
    """
    from operations import clock as operation

    length = _length(by)

    async def act(connection: "Connection") -> timedelta:
        return await operation.advance(connection, length)

    console.print(f"It is {by} later; in all, log time runs {_told(act_on(data, act))} ahead.")


def _length(text: str) -> timedelta:
    length = length_of(text)
    if length is None:
        raise typer.BadParameter("give a length such as 90s, 20m, 25h or 2d", param_hint="LENGTH")
    if not length:
        raise typer.BadParameter("the clock only goes forward; give a length such as 90s, 20m, 25h or 2d", param_hint="LENGTH")
    return length


def _told(length: timedelta) -> str:
    hours, seconds = divmod(round(length.total_seconds()), 3600)
    counts = ((hours // 24, "d"), (hours % 24, "h"), (seconds // 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in counts if count)
