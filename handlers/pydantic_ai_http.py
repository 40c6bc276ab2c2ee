"""
The HTTP client of the models, which reads no answer without end.

A model may talk until somebody stops it, and a server may send anything. What is read is kept in memory, and taken apart by code
whose time grows faster than the text.
"""

from collections.abc import AsyncIterator

import httpx2
from pydantic_ai.models import create_async_httpx2_client

MOST_BYTES = 256 * 1024
"""Of one answer. 4,096 tokens are some 20 kB of text, and the protocol's own words around them are few."""


class AnswerTooLong(httpx2.TransportError):
    """The answer passed `MOST_BYTES`; what was left of it was not read."""


def bounded_client() -> httpx2.AsyncClient:
    """As pydantic-ai makes it. It asks for unpacked answers, since a small packed one can be large. Whoever has it closes it."""
    client = create_async_httpx2_client()
    client.headers["Accept-Encoding"] = "identity"
    # a transport of our own would know nothing of the proxies that the environment names
    client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], _bound]}
    return client


def is_too_long(error: BaseException) -> bool:
    """Whether that is behind an error of a library."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, AnswerTooLong):
        cause = cause.__cause__
    return cause is not None


async def _bound(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - it is an asynchronous client's
    response.stream = _Bounded(response.stream, response.request)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, request: httpx2.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise AnswerTooLong("the answer is too long", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
