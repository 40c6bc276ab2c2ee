"""The webhook as a process of its own under crowds: slow ones, big ones, and a log that takes its time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.proxy import Proxy
from tests.webhook.logs import FaultyLog
from tests.webhook.posts import BASE_URL, message
from tests.webhook.processes import live, uvicorn
from tests.webhook.serving import Client, door_on, serving
from tests.webhook.test_limits import head, until_closed
from webhook.door import MESSAGES_PATH
from webhook.limits import Limits

SLOW_CLIENTS = 500
SLOW_CLOSED_SECONDS = 10.0
BIG_BODIES, BIG_BYTES = 40, 10_000_000
MOST_GROWTH_KIB = 10 * 1024
MOST_IN_FLIGHT_KIB = 512
"""Of one connection: what asyncio reads at once, and what waits for the application."""

TWILIO_SECONDS = 15.0
SLOW_LOG_SECONDS = 5.0


@pytest.fixture
async def webhook(tmp_path: Path, redis_url: str) -> AsyncIterator[tuple[int, Client]]:
    """Its process id, and a client. Postgres and the model are away: it is told of them, and does not need them."""
    nowhere = {
        "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/x",
        "AI_MODEL": "openai:x",
        "OPENAI_BASE_URL": "http://127.0.0.1:1",
    }
    settings = {"REDIS_URL": redis_url, "PUBLIC_BASE_URL": BASE_URL, "LOG_LEVEL": "ERROR", **nowhere}
    async with uvicorn(tmp_path, "--no-access-log", **settings) as (process, client):
        await live(client)
        yield process.pid, client


async def seconds_of(client: Client) -> float:
    asked = time.monotonic()
    assert (await client.post(message())).status == 200
    return time.monotonic() - asked


async def dribble(client: Client, first: bytes) -> float:
    """A byte a second, until the server has had enough; how long that took."""
    begun = time.monotonic()
    async with client.connection() as (reader, writer):
        closing = asyncio.create_task(until_closed(reader))
        writer.write(first)
        while not closing.done():
            with suppress(ConnectionError):
                writer.write(b"x")
            await asyncio.wait([closing], timeout=1)
    return time.monotonic() - begun


@pytest.mark.alone
async def test_five_hundred_slow_clients_are_shown_out_and_the_others_answered_meanwhile(webhook: tuple[int, Client]) -> None:
    """Half of them are slow with their headers, half with the body."""
    _, client = webhook
    begun = [head()[:-2], head("content-length: 1000") + b"B"]
    slow = [asyncio.create_task(dribble(client, begun[number % 2])) for number in range(SLOW_CLIENTS)]
    too_late = time.monotonic() + SLOW_CLOSED_SECONDS
    answered = [await seconds_of(client)]
    while not any(each.done() for each in slow) and time.monotonic() < too_late:
        answered.append(await seconds_of(client))
        await asyncio.sleep(0.05)
    assert len(answered) > 10
    assert max(answered) < 1
    async with asyncio.timeout(SLOW_CLOSED_SECONDS):
        assert max(await asyncio.gather(*slow)) < SLOW_CLOSED_SECONDS


async def test_big_bodies_cost_little_memory(webhook: tuple[int, Client]) -> None:
    """One after the other next to none, and a crowd of them no more than what is on its way in each connection."""
    pid, client = webhook
    assert (await client.post(message())).status == 200
    before = peak_kib(pid)
    for _ in range(5):
        assert (await client.request("POST", MESSAGES_PATH, b"x" * BIG_BYTES)).status == 413
    assert peak_kib(pid) - before < MOST_GROWTH_KIB
    answers = await asyncio.gather(*(client.request("POST", MESSAGES_PATH, b"x" * BIG_BYTES) for _ in range(BIG_BODIES)))
    assert {answer.status for answer in answers} == {413}
    assert peak_kib(pid) - before < MOST_GROWTH_KIB + BIG_BODIES * MOST_IN_FLIGHT_KIB
    assert await seconds_of(client) < TWILIO_SECONDS


def peak_kib(pid: int) -> int:
    """The most memory that a process has had."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


@pytest.mark.alone
async def test_without_postgres_and_without_a_model_a_message_is_taken_at_once(webhook: tuple[int, Client]) -> None:
    _, client = webhook
    assert max([await seconds_of(client) for _ in range(20)]) < 1


@pytest.mark.alone
async def test_a_log_that_answers_after_seconds_gets_503_told_in_time(tmp_path: Path, redis_url: str) -> None:
    async with Proxy(redis_url) as proxy:
        settings = {"REDIS_URL": proxy.url, "PUBLIC_BASE_URL": BASE_URL, "LOG_LEVEL": "ERROR"}
        async with uvicorn(tmp_path, "--no-access-log", **settings) as (_, client):
            await live(client)
            assert await seconds_of(client) < 1
            proxy.delay(SLOW_LOG_SECONDS)
            asked = time.monotonic()
            answers = await asyncio.gather(*(client.post(message()) for _ in range(50)))
            assert {answer.status for answer in answers} == {503}
            assert time.monotonic() - asked < SLOW_LOG_SECONDS


@pytest.mark.alone
async def test_the_slowest_client_and_the_slowest_log_together_stay_below_twilios_patience() -> None:
    """Headers at their deadline, the body at its own, and a log that never answers."""
    limits, usual = Limits(receive_seconds=0.5, append_seconds=0.5), Limits()
    assert 2 * usual.receive_seconds + usual.append_seconds < TWILIO_SECONDS
    event_log, post = FaultyLog(), message()
    async with serving(door_on(event_log, limits)) as client:
        event_log.is_hanging = True
        fields = [f"{name}: {value}" for name, value in post.headers.items()]
        whole = head(f"content-length: {len(post.body)}", "connection: close", *fields)
        asked = time.monotonic()
        async with client.connection() as (reader, writer):
            reading = asyncio.create_task(reader.read())
            for part in (whole[:-2], b"\r\n", post.body):
                writer.write(part)
                await asyncio.wait([reading], timeout=0.8 * limits.receive_seconds)
            answer = await reading
        took = time.monotonic() - asked
    assert b"503" in answer
    assert took < 2 * limits.receive_seconds + limits.append_seconds + 0.5
