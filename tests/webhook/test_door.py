"""What the webhook answers, and what then stands in the log."""

import asyncio
from dataclasses import replace
from urllib.parse import quote

import pytest

from settings import DEVELOPMENT_SECRET
from streams.events import MessageReceived, MessageStatusChanged
from streams.thread_token import seal
from tests.webhook.logs import FaultyLog
from tests.webhook.posts import CONTACT, SENDER, SID, TEXT, message, signed, status
from tests.webhook.serving import Answer, Client
from webhook.door import MESSAGES_PATH, STATUS_PATH

THREAD = f"{SENDER}|{CONTACT}"


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_signed_message_is_in_the_log_when_twilio_is_answered(client: Client, event_log: FaultyLog) -> None:
    answer = await client.post(message(Body="Olá 👋"))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.body.endswith(b"<Response/>")
    (event,) = event_log.events
    assert isinstance(event.data, MessageReceived)
    assert (event.subject, event.data.sid, event.data.body) == (THREAD, SID, "Olá 👋")
    assert (event.source, event.owner, event.correlation_id) == ("prosa/webhook", "default", event.id)


async def test_a_signed_status_is_in_the_log_under_the_thread_of_its_token(client: Client, event_log: FaultyLog) -> None:
    elsewhere = f"{SENDER}|whatsapp:BR.1A2B3C"
    query = f"thread={seal(elsewhere, DEVELOPMENT_SECRET)}&attempt=01ARZ3NDEKTSV4RRFFQ69G5FAV"
    answer = await client.post(status(query, MessageStatus="undelivered", ErrorCode="63016"))
    assert answer.status == 200
    (event,) = event_log.events
    assert isinstance(event.data, MessageStatusChanged)
    assert event.subject == elsewhere
    assert (event.data.status, event.data.error_code, event.data.attempt) == ("undelivered", 63016, "01ARZ3NDEKTSV4RRFFQ69G5FAV")


async def test_a_replayed_message_is_answered_200_each_time(client: Client, event_log: FaultyLog) -> None:
    answers = await asyncio.gather(*(client.post(message()) for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert {event.data.sid for event in event_log.events if isinstance(event.data, MessageReceived)} == {SID}


async def test_the_query_is_signed_as_it_came(client: Client) -> None:
    pairs = list(TEXT.items())
    assert (await client.post(signed(MESSAGES_PATH, pairs, "a=%41&b=+"))).status == 200
    assert (await client.post(replace(signed(MESSAGES_PATH, pairs, "a=%41&b=+"), query="a=A&b=+"))).status == 403


@pytest.mark.parametrize("path", [MESSAGES_PATH, STATUS_PATH])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_webhooks_are_posted(client: Client, path: str, method: str) -> None:
    assert (await client.request(method, path)).status == 405


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", MESSAGES_PATH + "/", "/webhooks/twilio/m%65ssages/.."])
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    answer = await client.request("POST" if "twilio" in path else "GET", path)
    assert answer.status == 404


async def test_answers_echo_nothing_of_the_request(client: Client) -> None:
    injected = message(Body="x\r\nset-cookie: a=b", ProfileName="\r\nx-injected: 1")
    plain, odd = await client.post(message()), await client.post(injected)
    assert odd.status == 200
    assert {**odd.headers, "date": ""} == {**plain.headers, "date": ""}
    assert odd.body == plain.body


async def test_health_and_metrics_are_served(client: Client) -> None:
    before = stored_count(await client.get("/metrics"))
    await client.post(message())
    assert (await client.get("/health/live")).status == 200
    assert (await client.get("/health/ready")).status == 200
    assert stored_count(await client.get("/metrics")) == before + 1


def stored_count(answer: Answer) -> float:
    name = f'prosa_webhook_seconds_count{{endpoint="{MESSAGES_PATH}",result="stored"}} '
    lines = answer.body.decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


async def test_log_lines_hold_no_content(client: Client, event_log: FaultyLog, capfd: pytest.CaptureFixture[str]) -> None:
    canary = "canary-of-the-contact"
    good = message(Body=canary, ProfileName=canary)
    posts = [
        good,
        replace(good, query=f"x={canary}"),
        message(Body=canary, From=f"whatsapp:{canary} x"),
        status(f"thread={canary}", ErrorMessage=canary),
        replace(good, body=quote(canary).encode() + b"=%FF"),
    ]
    for post in posts:
        await client.post(post)
    told = "".join(capfd.readouterr())
    assert "webhook.wrongly_signed" in told
    assert "webhook.malformed" in told
    assert canary not in told
    assert CONTACT.removeprefix("whatsapp:+") not in told
