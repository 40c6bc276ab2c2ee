"""
Every setting, from the environment, read once at the entry point and passed down.

An empty value counts as not given. `.env` in the working directory is read too; the environment wins.
"""

from settings.reading import (
    Problem,
    Settings,
    load_database_url,
    load_settings,
    misspelt_settings,
    read_settings,
    warn_of_misspelt_settings,
)
from settings.sections import DEVELOPMENT_ACCOUNT, DEVELOPMENT_SECRET, DEVELOPMENT_TOKEN, Environment, StreamEngine

__all__ = [
    "DEVELOPMENT_ACCOUNT",
    "DEVELOPMENT_SECRET",
    "DEVELOPMENT_TOKEN",
    "Environment",
    "Problem",
    "Settings",
    "StreamEngine",
    "load_database_url",
    "load_settings",
    "misspelt_settings",
    "read_settings",
    "warn_of_misspelt_settings",
]
