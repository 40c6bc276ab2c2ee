"""Big and slow clients, on the real server: what they get, and that they hurt nobody else."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from starlette.types import Message

from tests.webhook.logs import FaultyLog
from tests.webhook.posts import message
from tests.webhook.serving import Client, door_on, parsed, serving
from webhook.door import MESSAGES_PATH
from webhook.header_deadline import bound_headers
from webhook.limits import Limits, RequestLimits

LIMITS = Limits(receive_seconds=0.4)
MARGIN_SECONDS = 2.0
SLOW_CLIENTS = 100

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[Client, FaultyLog]]:
    event_log = FaultyLog()
    async with serving(door_on(event_log, LIMITS)) as client:
        yield client, event_log


def head(*lines: str, target: str = MESSAGES_PATH) -> bytes:
    return "\r\n".join([f"POST {target} HTTP/1.1", "host: prosa", *lines, "", ""]).encode()


# ------------------------------------------------------------------------------------------------------------- size


async def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(client: Client) -> None:
    limit = LIMITS.body_bytes
    assert (await client.request("POST", MESSAGES_PATH, b"x" * limit)).status == 403
    assert (await client.request("POST", MESSAGES_PATH, b"x" * (limit + 1))).status == 413


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(client: Client) -> None:
    async with client.connection() as (reader, writer), asyncio.timeout(MARGIN_SECONDS):
        writer.write(head("content-length: 10000000"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_a_chunked_body_over_the_limit_is_refused(client: Client) -> None:
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    answer = parsed(await client.exchange(head("transfer-encoding: chunked", "connection: close") + chunk * 3 + b"0\r\n\r\n"))
    assert answer.status == 413


async def test_a_chunked_body_within_the_limit_is_a_body(client: Client, event_log: FaultyLog) -> None:
    good = message()
    headers = [f"{name}: {value}" for name, value in good.headers.items()]
    chunk = f"{len(good.body):x}\r\n".encode() + good.body + b"\r\n0\r\n\r\n"
    answer = parsed(await client.exchange(head("transfer-encoding: chunked", "connection: close", *headers) + chunk))
    assert answer.status == 200
    assert len(event_log.events) == 1


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_a_client_that_writes_all_of_a_large_body_first_reads_the_answer(client: Client, connection: str) -> None:
    answer = await client.request("POST", MESSAGES_PATH, b"x" * 10_000_000, {"connection": connection})
    assert answer.status == 413


async def test_a_large_body_is_not_kept() -> None:
    part, parts = 65536, LIMITS.discarded_bytes // 65536
    received, sent = 0, []

    async def receive() -> Message:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"x" * part, "more_body": received < parts}

    async def send(message: Message) -> None:
        sent.append(message)

    limited = RequestLimits(door_on(FaultyLog()), LIMITS)
    tracemalloc.start()
    await limited({"type": "http", "headers": []}, receive, send)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent[0]["status"] == 413
    assert received == parts
    assert peak < 8 * part


async def test_a_body_without_end_is_not_discarded_without_end(client: Client) -> None:
    sent = 0
    async with client.connection() as (_, writer), asyncio.timeout(MARGIN_SECONDS):
        writer.write(head("content-length: 1000000000"))
        with suppress(ConnectionError):
            while sent < 4 * LIMITS.discarded_bytes:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
    assert sent < 2 * LIMITS.discarded_bytes


async def test_headers_over_the_limit_close_the_connection_long_before_their_deadline() -> None:
    patient = Limits(receive_seconds=60)
    lines = [b"POST / HTTP/1.1", *(b"x-%d: %s" % (number, b"x" * 1000) for number in range(patient.header_bytes // 1000 + 1))]
    async with serving(door_on(FaultyLog(), patient)) as client, asyncio.timeout(MARGIN_SECONDS):
        assert await client.exchange(head("x-long: " + "x" * patient.header_bytes)[:-2]) == b""
        async with client.connection() as (reader, writer):
            writer.writelines(line + b"\r\n" for line in lines)
            assert await until_closed(reader) == b""


@pytest.mark.parametrize("form", ["one long header", "many headers", "a long path", "a second request"])
async def test_headers_over_the_limit_are_not_served_though_they_come_at_once(client: Client, form: str) -> None:
    """Together with the end of the headers, in one read."""
    over = LIMITS.header_bytes
    many = [f"x-{number}: {'x' * 100}" for number in range(over // 100)]
    whole = {
        "one long header": head("content-length: 0", "x-long: " + "x" * over),
        "many headers": head("content-length: 0", *many),
        "a long path": head("content-length: 0", target=f"{MESSAGES_PATH}?{'x' * over}"),
        "a second request": head("content-length: 0") + head("content-length: 0", *many),
    }[form]
    answers = await client.exchange(whole)
    assert answers.count(b"HTTP/1.1 400") == 1
    assert answers.count(b"HTTP/1.1 403") <= (1 if form == "a second request" else 0)


async def test_headers_within_the_limit_are_served(client: Client) -> None:
    whole = head("content-length: 0", "connection: close", "x-long: " + "x" * (LIMITS.header_bytes - 200))
    assert parsed(await client.exchange(whole)).status == 403


async def test_two_lengths_are_no_request(client: Client, event_log: FaultyLog) -> None:
    good = message()
    signed = [f"{name}: {value}" for name, value in good.headers.items()]
    smuggled = head(f"content-length: {len(good.body)}", *signed) + good.body
    for ambiguous in (["content-length: 4", "transfer-encoding: chunked"], ["content-length: 4", "content-length: 5"],
                      ["transfer-encoding: chunked, identity"], ["content-length: -1"], ["content-length: 4x"]):  # fmt: skip
        answer = await client.exchange(head(*ambiguous) + b"0\r\n\r\n" + smuggled)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1
    assert event_log.events == []


# ------------------------------------------------------------------------------------------------------------- time


async def test_a_body_that_does_not_come_is_answered_408_and_the_connection_closed(client: Client) -> None:
    asked = time.monotonic()
    answer = parsed(await client.exchange(head("content-length: 100") + b"Body="))
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert time.monotonic() - asked < LIMITS.receive_seconds + MARGIN_SECONDS


async def test_headers_that_do_not_end_close_the_connection(client: Client) -> None:
    for begun in (b"", b"POST", head()[:-2], b"\r\n"):
        asked = time.monotonic()
        assert await client.exchange(begun) == b""
        assert time.monotonic() - asked < LIMITS.receive_seconds + MARGIN_SECONDS


async def test_a_second_request_on_a_connection_has_the_same_deadline(client: Client) -> None:
    for begun in (b"POST / HT", b"\r\n"):
        async with client.connection() as (reader, writer), asyncio.timeout(MARGIN_SECONDS):
            writer.write(b"GET /health/live HTTP/1.1\r\nhost: prosa\r\n\r\n")
            await reader.readuntil(b"}")
            writer.write(begun)
            assert await until_closed(reader) == b""


async def test_what_follows_a_refused_body_has_the_same_deadline(client: Client) -> None:
    async with client.connection() as (reader, writer), asyncio.timeout(MARGIN_SECONDS):
        writer.write(head("content-length: 10000000") + b"x")
        await reader.readuntil(b"too large\n")
        writer.write(b"x")
        assert await until_closed(reader) == b""


async def test_a_connection_in_use_outlives_the_deadline(client: Client) -> None:
    async with client.connection() as (reader, writer):
        ends = time.monotonic() + 2 * LIMITS.receive_seconds
        while time.monotonic() < ends:
            writer.write(b"GET /health/live HTTP/1.1\r\nhost: prosa\r\n\r\n")
            assert b"ok" in await reader.readuntil(b"}")


@pytest.mark.alone
async def test_slow_clients_do_not_starve_good_ones(client: Client, event_log: FaultyLog) -> None:
    begun = [head()[:-2], head("content-length: 100") + b"B"]

    async def dribble(first: bytes) -> None:
        async with client.connection() as (reader, writer):
            writer.write(first)
            closing = asyncio.create_task(reader.read())
            while not closing.done():
                writer.write(b"x")
                await asyncio.wait([closing], timeout=0.05)

    slow = [asyncio.create_task(dribble(begun[number % 2])) for number in range(SLOW_CLIENTS)]
    asked = time.monotonic()
    answers = [await client.post(message()) for _ in range(5)]
    assert {answer.status for answer in answers} == {200}
    assert time.monotonic() - asked < 1
    async with asyncio.timeout(LIMITS.receive_seconds + 2 * MARGIN_SECONDS):
        await asyncio.gather(*slow, return_exceptions=True)
    assert len(event_log.events) == 5


async def test_a_client_that_leaves_midway_is_no_error(client: Client, event_log: FaultyLog) -> None:
    async with client.connection() as (_, writer):
        writer.write(head("content-length: 100") + b"Body=")
        await writer.drain()
    assert (await client.get("/health/live")).status == 200
    assert event_log.events == []


async def test_a_server_that_cannot_bound_headers_is_told_apart() -> None:
    async def receive() -> dict[str, object]:
        return {}

    assert bound_headers(receive, 1.0, 1) is False


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What else comes; a reset closes too."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
