"""
A deadline and a size limit for request headers, which uvicorn lacks.

uvicorn 0.54 keeps a connection with half-sent headers open for ever and gathers them without bound, and an application sees
neither. What it does give an application, in the lifespan protocol, is a `receive` that belongs to its configuration, and that
names the class of every later connection. So the class is replaced there by one that watches for headers. With another server, or
another protocol class, nothing is changed and a log line says so: a proxy in front must then keep slow clients away.

https://github.com/Kludex/uvicorn/issues/157
"""

import asyncio
from typing import Any

from starlette.types import Receive
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from telemetry import log

_AROUND_A_HEADER = len(": \r\n")


class HeadersTooLarge(Exception):
    """Ends the parser, to which it is a request that cannot be understood."""


def bound_headers(receive: Receive, seconds: float, limit_bytes: int) -> bool:
    """Close connections whose headers take longer or are larger, if this server allows; say whether it does."""
    config = getattr(getattr(receive, "__self__", None), "config", None)
    if not isinstance(config, Config) or config.http_protocol_class is not HttpToolsProtocol:
        log.warning("headers.not_bounded", reason="this server lets them come slowly", remedy="put a proxy in front")
        return False
    config.http_protocol_class = type(
        "HeaderDeadlineProtocol", (HeaderDeadlineProtocol,), {"header_seconds": seconds, "header_limit_bytes": limit_bytes}
    )
    return True


class HeaderDeadlineProtocol(HttpToolsProtocol):
    """
    uvicorn's connection, closed when it waits for headers too long, or for too many.

    Headers are counted as they come, and again as they are understood, since all of them may come in one read: those are answered
    with 400, as uvicorn answers what is no request. Time runs from the connection's start, and from the first byte after a
    finished response: between the two uvicorn's own keep-alive limit counts. What follows a request that was answered before its
    end is bounded likewise.
    """

    header_seconds: float
    header_limit_bytes: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in_headers = False
        self._header_bytes = 0
        self._understood_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._waits_for_headers():
            self._stop_deadline()
        elif self._deadline is None:
            self._start_deadline()
        self._count_header_bytes(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_headers = True
        self._header_bytes = 0
        self._understood_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count_understood(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_understood(len(name) + len(value) + _AROUND_A_HEADER)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_headers = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def _waits_for_headers(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _count_header_bytes(self, received: int) -> None:
        if self._is_in_headers:
            self._header_bytes += received
            if self._header_bytes > self.header_limit_bytes:
                self._close()

    def _count_understood(self, count: int) -> None:
        self._understood_bytes += count
        if self._understood_bytes > self.header_limit_bytes:
            raise HeadersTooLarge

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._close)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
