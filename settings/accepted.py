"""What a setting accepts, in words: read from its type and its bounds, so that docs and complaints cannot differ from them."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from settings.kinds import Accepts


def accepted(field: FieldInfo) -> str:
    """Such as `a number from 0 to 600`."""
    words = next((mark.words for mark in field.metadata if isinstance(mark, Accepts)), None)
    if words is not None:
        return words
    kind = field.annotation
    if kind is bool:
        return "`true` or `false`"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    if kind in (int, float):
        return " ".join(["a whole number" if kind is int else "a number", *_bounds(field)])
    return "text"


def is_secret(field: FieldInfo) -> bool:
    """Whether its value must never be shown."""
    return "SecretStr" in str(field.annotation)


def written(value: Any) -> str:
    """A value as it stands in `.env`."""
    match value:
        case None:
            return ""
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(written(item) for item in value)
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def _bounds(field: FieldInfo) -> Iterator[str]:
    limits = {name: getattr(mark, name) for mark in field.metadata for name in ("ge", "gt", "le") if hasattr(mark, name)}
    if "ge" in limits:
        yield f"from {limits['ge']}"
    if "gt" in limits:
        yield f"above {limits['gt']}"
    if "le" in limits:
        yield f"{'to' if 'ge' in limits else 'and up to'} {limits['le']}"
