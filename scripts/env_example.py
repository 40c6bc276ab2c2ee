"""Print `.env.example` from the settings, so that no name, default or meaning can differ: `make docs` writes it."""

import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import SecretStr

from settings import Settings

HEADING = """\
# Every setting of Prosa with its default. Copy this file to .env and change what you need;
# the environment wins over .env, and an empty value counts as not given.
"""


def lines() -> Iterator[str]:
    yield HEADING
    for name, field in Settings.model_fields.items():
        yield f"# {field.description}"
        yield f"{name.upper()}={_text(field.default)}"
        yield ""


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(_text(item) for item in value)
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case _:
            return str(value)


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()))
