"""Which system a command speaks to: the one of `prosa dev` where one runs here, else the one of the environment."""

import os
from pathlib import Path

from development.directory import RunDirectory
from settings import Environment, Settings, load_database_url, load_settings


def settings_here(data: Path) -> Settings:
    """
    The settings of the system that a command is meant for.

    Where `prosa dev` runs in the directory `data`, its addresses come before the environment's and `.env`'s, which were not
    used to start it; with `ENVIRONMENT=production` in the environment nobody looks there. Raises `ConfigurationError`.
    """
    return load_settings(**addresses_here(data))


def database_url_here(data: Path) -> str:
    """The read model of the same system; no other setting needs to be right. Raises `ConfigurationError`."""
    return addresses_here(data).get("database_url") or load_database_url()


def addresses_here(data: Path) -> dict[str, str]:
    """What `prosa dev` in this directory was started with, by field of the settings; nothing where none is to be looked for."""
    directory = RunDirectory(data)
    if os.environ.get("ENVIRONMENT", "").lower() == Environment.PRODUCTION or not directory.is_claimed:
        return {}
    return _fields(directory)


def settings_of_run(data: Path) -> Settings:
    """The settings of the `prosa dev` in this directory and of no other system. Raises `DevelopmentError` where none runs."""
    return load_settings(**_fields(RunDirectory(data)))


def _fields(directory: RunDirectory) -> dict[str, str]:
    given = {name.lower(): value for name, value in directory.read_addresses().items()}
    return {name: value for name, value in given.items() if name in Settings.model_fields}
