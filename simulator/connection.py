"""Ways not to answer: break the connection, or leave it hanging."""

import asyncio
import socket
import struct
from contextlib import suppress

from fastapi import Request


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
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _disconnected(request)
            return
    await reset(request)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _transport(request: Request) -> asyncio.Transport:
    # ASGI has no way to break a connection. Both of uvicorn's protocols keep the transport beside `receive`.
    transport: asyncio.Transport = request.receive.__self__.transport  # type: ignore[attr-defined]
    return transport
