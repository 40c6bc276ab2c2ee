"""Twilio's connection rules: what is tried again, for how long, and what is given up."""

import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulator.connection_rules import RETRIABLE, ConnectionRules, connection_rules
from simulator.webhook_client import (
    ERROR_STATUS,
    NOT_CONNECTED,
    PROTOCOL_VIOLATED,
    READ_TIMED_OUT,
    TOTAL_TIMED_OUT,
    Outcome,
    WebhookClient,
)
from tests.simulator.stand_in import AUTH_TOKEN, Door


@pytest_asyncio.fixture
async def client() -> AsyncIterator[WebhookClient]:
    opened = WebhookClient(AUTH_TOKEN, {})
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("fragment", "rules"),
    [
        ("", ConnectionRules(5, 15, 15, 1, frozenset({"ct"}))),
        ("#ct=2000&rt=3000&rc=5&rp=5xx,ct,rt", ConnectionRules(2, 3, 15, 5, frozenset({"5xx", "ct", "rt"}))),
        ("#rp=all&tt=1&e=sao-paulo,ashburn", ConnectionRules(5, 15, 0.001, 1, RETRIABLE)),
        ("#ct=99&rt=15001&tt=0&rc=6&rp=never", ConnectionRules()),
        ("#ct=-1&rt=fast&rc=²", ConnectionRules()),
        ("#rc=0", ConnectionRules(retries=0)),
    ],
)
def test_a_fragment_overrides_what_it_says_within_bounds(fragment: str, rules: ConnectionRules) -> None:
    assert connection_rules(f"https://example.com/a?rc=3{fragment}") == rules


async def test_an_error_is_not_tried_again_by_default(client: WebhookClient, door: Door) -> None:
    door.script = [503, 200]
    assert await client.post(door.url, {"a": "b"}) == Outcome(503, ERROR_STATUS, 1)


@pytest.mark.parametrize(
    ("policy", "script", "outcome"),
    [
        ("rc=5&rp=5xx", [500, 503, 200], Outcome(200, None, 3)),
        ("rc=1&rp=5xx", [500, 503, 200], Outcome(503, ERROR_STATUS, 2)),
        ("rc=5&rp=5xx", [500, 429, 200], Outcome(429, ERROR_STATUS, 2)),
        ("rc=5&rp=4xx", [404, 429, 200], Outcome(200, None, 3)),
        ("rc=5&rp=all", [404, 500, "close", 200], Outcome(200, None, 4)),
        ("rc=0&rp=all", [500], Outcome(500, ERROR_STATUS, 1)),
        ("rc=5&rp=ct", ["close", 200], Outcome(None, PROTOCOL_VIOLATED, 1)),
        ("rc=1&rp=rt&rt=100", ["hang", 200], Outcome(200, None, 2)),
        ("rc=1&rt=100", ["hang", 200], Outcome(None, READ_TIMED_OUT, 1)),
    ],
)
async def test_a_policy_says_what_is_tried_again(
    client: WebhookClient, door: Door, policy: str, script: list[int | str], outcome: Outcome
) -> None:
    door.script = script
    assert await client.post(f"{door.url}/#{policy}", {"a": "b"}) == outcome


async def test_the_total_time_ends_all_attempts(client: WebhookClient, door: Door) -> None:
    door.script = ["hang"] * 9
    outcome = await client.post(f"{door.url}/#rc=5&rp=rt&rt=200&tt=300", {"a": "b"})
    assert (outcome.error_code, len(door.posts)) == (TOTAL_TIMED_OUT, 2)


async def test_a_door_that_is_shut_is_tried_twice(client: WebhookClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert await client.post(f"http://127.0.0.1:{port}/", {"a": "b"}) == Outcome(None, NOT_CONNECTED, 2)
    assert await client.post(f"http://127.0.0.1:{port}/#rc=4", {"a": "b"}) == Outcome(None, NOT_CONNECTED, 5)


async def test_all_attempts_of_one_post_are_the_same_request(client: WebhookClient, door: Door) -> None:
    door.script = [500, 500, 200]
    await client.post(f"{door.url}/#rc=5&rp=5xx", {"Body": "Olá", "Empty": ""})
    await client.post(f"{door.url}/", {"Body": "Olá", "Empty": ""})
    tokens = [post.headers["I-Twilio-Idempotency-Token"] for post in door.posts]
    assert tokens[0] == tokens[1] == tokens[2] != tokens[3]
    assert all(post.form == {"Body": "Olá", "Empty": ""} for post in door.posts)
    assert all(post.is_signed_for(f"{door.url}/") for post in door.posts)


VECTORS = [
    (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        {
            "CallSid": "CA1234567890ABCDE",
            "Digits": "1234",
            "From": "+14158675309",
            "To": "+18005551212",
            "Caller": "+14158675309",
        },
        "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
    ),
    (
        "https://app.example.com/twilio/inbound",
        {
            "MessageSid": "SM" + "1" * 32,
            "From": "whatsapp:+5511999990000",
            "To": "whatsapp:+14155238886",
            "Body": "Olá ção 👋",
            "NumMedia": "0",
            "Empty": "",
        },
        "AqkaswxmEERVUAq3WDr3rbnXtaw=",
    ),
]


@pytest.mark.parametrize(("url", "form", "signature"), VECTORS)
async def test_the_signature_is_twilios(door: Door, url: str, form: dict[str, str], signature: str) -> None:
    client = WebhookClient("12345", {})
    await client.post(f"{door.url}/#rc=2", form, url + "#rc=2")
    await client.close()
    assert door.posts[0].headers["X-Twilio-Signature"] == signature
    assert RequestValidator("12345").validate(url, door.posts[0].form, signature)
