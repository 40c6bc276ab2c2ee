"""
What a request may cost before anything looks at it: bytes and time.

A body is read whole, up to a limit and a deadline, and handed on in one piece. The deadlines, that for the headers and that for
the body among them, add up to less than the 15 s after which Twilio hangs up. Twilio's own requests arrive within milliseconds,
so the first two only ever hit slow clients.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import metrics
from webhook.header_deadline import bound_headers

_TOO_LARGE = PlainTextResponse("Body too large\n", 413, {"connection": "close"})
_TOO_SLOW = PlainTextResponse("Too slow\n", 408, {"connection": "close"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request. A message of 4,096 emoji, percent-encoded, takes 48 KiB."""

    body_bytes: int = 64 * 1024
    header_bytes: int = 32 * 1024
    discarded_bytes: int = 16 * 1024 * 1024
    """Of a body that was refused already."""
    receive_seconds: float = 5.0
    """For the headers, and again for the body."""
    append_seconds: float = 4.0
    """For the log to make an event durable."""


class BodyTooLarge(Exception):
    """The body is, or says it is, over the limit."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class RequestLimits:
    """ASGI middleware, outermost: 413 over the byte limit, 408 over the time limit, and the connection closed after both."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            bound_headers(receive, self._limits.receive_seconds, self._limits.header_bytes)
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            async with asyncio.timeout(self._limits.receive_seconds):
                body = await _read_body(scope, receive, self._limits.body_bytes)
        except BodyTooLarge:
            metrics.WEBHOOK_REFUSED.of("too_large").inc()
            return await _TOO_LARGE(scope, receive, partial(self._send_and_linger, receive, send))
        except TimeoutError:
            metrics.WEBHOOK_REFUSED.of("too_slow").inc()
            return await _TOO_SLOW(scope, receive, send)
        except ClientGone:
            return None
        await self._app(scope, _in_one_piece(body, receive), send)

    async def _send_and_linger(self, receive: Receive, send: Send, message: Message) -> None:
        """Answer at once, but close later: a client that still writes would be reset before it reads the answer."""
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            with suppress(TimeoutError, ClientGone):
                async with asyncio.timeout(self._limits.receive_seconds):
                    await _discard_body(receive, self._limits.discarded_bytes)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)


async def _discard_body(receive: Receive, limit: int) -> None:
    discarded, has_more = 0, True
    while has_more and discarded < limit:
        part, has_more = await _receive_part(receive)
        discarded += len(part)


async def _receive_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    if _declared_length(scope) > limit:
        raise BodyTooLarge
    body, has_more = b"", True
    while has_more:
        part, has_more = await _receive_part(receive)
        body += part
        if len(body) > limit:
            raise BodyTooLarge
    return body


def _declared_length(scope: Scope) -> int:
    """What Content-Length says, which may be a lie; 0 where it says nothing."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(declared) if declared.isdigit() else 0


def _in_one_piece(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def receive_whole() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_whole
