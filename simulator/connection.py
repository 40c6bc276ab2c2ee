"""Ways not to answer: break the connection, at once or in the middle, or leave it hanging."""

import asyncio
import socket
import struct
from contextlib import suppress

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send


async def reset(request: Request) -> None:
    """The client sees a connection reset, and no answer."""
    transport = _transport(request)
    connection: socket.socket = transport.get_extra_info("socket")
    # Lingering for no time turns the close into a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _disconnected(request)


async def hang(request: Request, seconds: float) -> None:
    """Say nothing until the client gives up; reset after so many seconds."""
    if await is_still_there(request, seconds):
        await reset(request)


async def is_still_there(request: Request, after_seconds: float) -> bool:
    """Wait so long, or until the client gives up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(after_seconds):
            await _disconnected(request)
            return False
    return True


class HalfAResponse(Response):
    """The head, half of the body, and a reset."""

    def __init__(self, request: Request, content: bytes, media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await reset(self._request)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _transport(request: Request) -> asyncio.Transport:
    # ASGI has no way to break a connection. Both of uvicorn's protocols keep the transport beside `receive`.
    transport: asyncio.Transport = request.receive.__self__.transport  # type: ignore[attr-defined]
    return transport
