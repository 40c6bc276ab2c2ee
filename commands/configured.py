"""Which system a command speaks to: the one that the environment names, else that of the `prosa dev` whose data are here."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.development_options import directory_of
from commands.terminal import complaints
from development.commands import shown
from development.directory import RunDirectory
from settings import Environment, Settings, load_database_url, load_settings, read_settings

NAMING = frozenset({"REDIS_URL", "DATABASE_URL"})
"""Whoever sets one of these in the environment means that system, whatever runs beside."""


def settings_here(data: Path | None) -> Settings:
    """
    The settings of the system that a command is meant for.

    A directory that is given means the `prosa dev` there. Without one, `REDIS_URL` or `DATABASE_URL` in the environment and
    production, in the environment or in `.env`, mean the system of these settings; else it is that of the `prosa dev` in
    `.prosa`, where one runs. Where it has stopped, it is still meant unless `.env` names a server: nobody's default address is,
    whether it stands there or not. In the environment it is: that is never passed over.
    Raises `ConfigurationError`, `NothingRuns` where nothing runs in the directory that is meant, and `DevelopmentError`.
    """
    return load_settings(**addresses_here(data))


def database_url_here(data: Path | None) -> str:
    """The read model of the same system; no other setting needs to be right. Raises what `settings_here` raises."""
    return addresses_here(data).get("database_url") or load_database_url()


def addresses_here(data: Path | None) -> dict[str, str]:
    """What the `prosa dev` that is meant was started with, by field of the settings; nothing where it is the environment's."""
    return _fields(directory_of(data)) if data is not None or _means_a_run() else {}


def _means_a_run() -> bool:
    """Whether `.prosa` is meant, by whoever gives no directory."""
    directory = RunDirectory(directory_of(None))
    if _names_a_system():
        return False
    return directory.is_claimed or (directory.has_servers and not _file_names_a_system())


@contextmanager
def servers_here(data: Path | None) -> Iterator[None]:
    """
    Where the system that is meant is a `prosa dev` that has stopped: its servers, started for this command.

    Without a directory that is given, `.prosa` is meant only where neither environment nor `.env` names another system. Raises
    `DevelopmentError` and `ServerError`.
    """
    from development.stopped_run import servers_of

    directory = RunDirectory(directory_of(data))
    if not directory.has_servers or directory.is_claimed or (data is None and not _means_a_run()):
        yield
        return
    _say(f"prosa dev has stopped in {shown(directory.path)}; its servers run for this command")
    with servers_of(directory):
        yield
    _say("its servers are stopped again")


def settings_of_run(data: Path | None) -> Settings:
    """The settings of the `prosa dev` in this directory and of no other system. Raises `DevelopmentError` where none runs."""
    return load_settings(**_fields(directory_of(data)))


def _names_a_system() -> bool:
    if any(value and name.upper() in NAMING for name, value in os.environ.items()):
        return True
    settings, problems = read_settings()
    return settings.environment is Environment.PRODUCTION or any(problem.name == "ENVIRONMENT" for problem in problems)


def _file_names_a_system() -> bool:
    """A default that stands there is that of a copied `.env.example`: whoever set nothing would have it, too."""
    settings, _ = read_settings()
    fields = {name.lower() for name in NAMING} & settings.model_fields_set
    return any(getattr(settings, field) != Settings.model_fields[field].default for field in fields)


def _say(sentence: str) -> None:
    if "--json" not in sys.argv:
        complaints.print(sentence, style="dim", markup=False, soft_wrap=True)


def _fields(path: Path) -> dict[str, str]:
    """Says whose they are, unless a script reads along: a system that is not the one meant must not go unnoticed."""
    given = {name.lower(): value for name, value in RunDirectory(path).read_addresses().items()}
    _say(f"of prosa dev in {path}")
    return {name: value for name, value in given.items() if name in Settings.model_fields}
