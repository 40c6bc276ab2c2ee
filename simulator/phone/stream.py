"""The answer that keeps one page up to date, and how many of them there are at once."""

from collections.abc import AsyncIterator

from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from simulator.phone.desk import Desk
from simulator.phone.guard import PAGE_HEADERS

MOST_OPEN_PAGES = 32


class PageStream(StreamingResponse):
    """One too many is refused with 503; its browser asks again, and is let in when another page was closed."""

    def __init__(self, desk: Desk, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=PAGE_HEADERS)
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._desk.open_pages >= MOST_OPEN_PAGES:
            raise HTTPException(503, f"{MOST_OPEN_PAGES} pages are open; close one of them")
        self._desk.open_pages += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._desk.open_pages -= 1
