"""What a request's body must be before anybody looks at its meaning, and how the refusal of one is told."""

import re
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, model_validator

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can say half a character; no file and no answer can carry it."""


class RequestModel(BaseModel):
    """All its text can be written down, and all its numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, fields: Any) -> Any:
        if has_lone_surrogate(fields):
            raise ValueError("text with half a character")
        return fields


def has_lone_surrogate(value: Any) -> bool:
    """Anywhere in what JSON can say, names included."""
    match value:
        case str():
            return LONE_SURROGATE.search(value) is not None
        case dict():
            return any(has_lone_surrogate(part) for pair in value.items() for part in pair)
        case list() | tuple():
            return any(has_lone_surrogate(part) for part in value)
        case _:
            return False


async def refused(_: Request, error: Exception) -> JSONResponse:
    """Where and why, and nothing of what was said: a name that is not known and all below a field was said too."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    told = [{"type": each["type"], "loc": _known(each), "msg": each["msg"]} for each in error.errors()[:20]]
    return JSONResponse({"detail": told}, 422)


def _known(mistake: dict[str, Any]) -> list[str | int]:
    place = mistake["loc"][:-1] if mistake["type"] == "extra_forbidden" else mistake["loc"]
    return list(place[:2])
