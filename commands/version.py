"""`prosa --version`."""

import platform
from importlib.metadata import version
from typing import Annotated

import typer

NAMED = {"FastStream": "faststream", "redis-py": "redis"}


def _print_and_end(is_asked_for: bool) -> None:
    if is_asked_for:
        others = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(each)}" for name, each in NAMED.items())])
        typer.echo(f"Prosa {version('prosa')} ({others})")
        raise typer.Exit


def common(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_and_end, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options of `prosa` itself."""
