"""How much of a request is read: the media of a contact in base64, and for the rest far more than anybody says."""

from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from starlette.types import Message, Receive

MEDIA_PATH = "/simulator/messages"
MOST_MEDIA_BYTES = 25_000_000
MOST_BYTES = 1_000_000


def limit_of(path: str) -> int:
    return MOST_MEDIA_BYTES if path == MEDIA_PATH else MOST_BYTES


def refuse_announced(length: str | None, limit: int) -> None:
    """Raise 413 before anything is read; whoever announces no length is stopped on the way."""
    if length is not None and length.isdecimal() and int(length[:20]) > limit:
        raise _too_large()


@dataclass(slots=True)
class LimitedBody:
    """An ASGI `receive` that raises 413 where the body passes its limit. What is behind it stays in reach for a reset."""

    origin: Receive
    limit: int
    _read: int = 0

    @property
    def transport(self) -> Any:
        return self.origin.__self__.transport  # type: ignore[attr-defined]

    async def receive(self) -> Message:
        message = await self.origin()
        self._read += len(message.get("body", b""))
        if self._read > self.limit:
            raise _too_large()
        return message


def _too_large() -> HTTPException:
    return HTTPException(413, "the request is too large")
