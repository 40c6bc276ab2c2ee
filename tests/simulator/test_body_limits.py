"""A body has a bound, and nothing is read of a request that is refused for where it comes from."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from io import BytesIO

import pytest

from tests.simulator.stand_in import ACCOUNT_SID, ANA, DEADLINE_SECONDS, StandIn, authorization

MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
PIECE = b"x" * 2**16
MARK = {"X-Requested-With": "phone", "Content-Type": "application/json"}


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def answer_to_head(stand_in: StandIn, path: str, *headers: str) -> str:
    """What is answered to a request that announces a body and sends none of it."""
    host, _, port = stand_in.url.removeprefix("http://").partition(":")
    async with asyncio.timeout(DEADLINE_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = [f"POST {path} HTTP/1.1", *headers, "Content-Type: application/json", "", ""]
        writer.write("\r\n".join(head).encode())
        line = (await reader.readline()).decode()
        writer.close()
        await writer.wait_closed()
    return line.split()[1]


@pytest.mark.parametrize("path", ["/simulator/messages", "/phone/messages", "/simulator/faults"])
async def test_another_site_is_refused_before_its_body_is_read(stand_in: StandIn, path: str) -> None:
    host = stand_in.url.removeprefix("http://")
    assert await answer_to_head(stand_in, path, f"Host: {host}", "Origin: https://evil.example", "Content-Length: 1000") == "403"
    assert await answer_to_head(stand_in, path, "Host: evil.example", "Content-Length: 1000") == "421"


@pytest.mark.parametrize(
    ("path", "announced"),
    [("/simulator/messages", 10**8), ("/simulator/faults", 2 * 10**6), ("/phone/messages", 2 * 10**6), (MESSAGES, 2 * 10**6)],
)
async def test_a_body_that_is_announced_too_large_is_refused_unread(stand_in: StandIn, path: str, announced: int) -> None:
    host = stand_in.url.removeprefix("http://")
    assert await answer_to_head(stand_in, path, f"Host: {host}", f"Content-Length: {announced}") == "413"


@pytest.mark.parametrize("path", ["/simulator/faults", "/phone/messages", MESSAGES, "/v3/Indicators/Typing.json"])
async def test_a_body_that_announces_no_length_is_refused_where_it_passes_the_bound(stand_in: StandIn, path: str) -> None:
    headers = {**MARK, **authorization()}
    async with stand_in.http.post(f"{stand_in.url}{path}", data=pieces(32), headers=headers) as response:
        assert response.status == 413
    assert await stand_in.entries() == []


async def test_media_as_large_as_a_phone_sends_them_pass(stand_in: StandIn) -> None:
    """16 MB, Twilio's own limit, in base64."""
    content = b64encode(bytes(16_000_000)).decode()
    body = json.dumps({"from": ANA, "media": {"content_type": "video/mp4", "content": content}}).encode()
    async with stand_in.http.post(f"{stand_in.url}/simulator/messages", data=BytesIO(body), headers=MARK) as response:
        assert response.status == 200
