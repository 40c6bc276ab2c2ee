"""How a command acts on the running system: as whom, and connected to what."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from commands.configured import settings_here

if TYPE_CHECKING:
    from operations.connection import Connection

_Result = TypeVar("_Result")


def decider(meaning: str) -> Any:
    """The option that says who decides; by default who is logged in."""
    return typer.Option("--by", help=meaning, default_factory=_login_name, show_default="your login name", callback=_some_name)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have none
        return ""


def _some_name(by: str) -> str:
    if not by.strip():
        raise typer.BadParameter("it is empty, and the log keeps who decides; give a name, such as --by ana", param_hint="--by")
    return by.strip()


By = Annotated[str, decider("Who decides; the log keeps it.")]


def act_on(data: Path | None, work: "Callable[[Connection], Awaitable[_Result]]") -> _Result:
    """What `work` returns, given a connection to the system that a command in this directory is meant for."""
    from operations.connection import connected

    async def run() -> _Result:
        async with connected(settings_here(data)) as connection:
            return await work(connection)

    return asyncio.run(run())
