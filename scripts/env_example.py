"""Print `.env.example` from the settings, so that no name, default or meaning can differ: `make docs` writes it."""

import shlex
import sys
from collections.abc import Iterator

from settings.accepted import written
from settings.sections import SECTIONS

HEADING = """\
# Every setting of Prosa with its default. Copy this file to .env and change what you need;
# the environment wins over .env, and an empty value counts as not given.
# What each accepts: docs/configuration.md. A value with a space stands in quotes, so that a shell may read this file as well.
"""


def lines() -> Iterator[str]:
    yield HEADING
    for title, section in SECTIONS.items():
        yield f"# {f' {title}: {section.__doc__}'.rjust(118, '-')}"
        yield ""
        for name, field in section.model_fields.items():
            yield f"# {field.description}"
            yield f"{name.upper()}={quoted(written(field.default))}"
            yield ""


def quoted(value: str) -> str:
    """So that a shell, python-dotenv and docker compose read the same: in single quotes nothing means anything but a quote."""
    if not value or shlex.quote(value) == value:
        return value
    if {"'", "\\"} & set(value):
        raise ValueError("no form of this value means the same to all of them")
    return f"'{value}'"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()))
