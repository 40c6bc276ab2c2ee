"""Our client against the stand-in for Twilio, whose ledger tells what really happened."""

import time
from collections.abc import AsyncIterator

import pytest_asyncio

from handlers.twilio_answers import Accepted, Refused
from handlers.twilio_client import TwilioClient
from tests.simulator.stand_in import ACCOUNT_SID, ANA, AUTH_TOKEN, SENDER, StandIn, running, settings

CALLBACK = "http://127.0.0.1:9/status"


@pytest_asyncio.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running(settings()) as started:
        yield started


@pytest_asyncio.fixture
async def client(stand_in: StandIn) -> AsyncIterator[TwilioClient]:
    async with TwilioClient(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, api_url=stand_in.url) as opened:
        yield opened


async def test_what_is_sent_arrives_once_and_is_listed(stand_in: StandIn, client: TwilioClient) -> None:
    started_ms = time.time_ns() // 1_000_000
    await stand_in.write(body="Olá")
    body = "Olá + tudo & bem? 👋\n\nAté já"
    sent = await client.create_message(to=ANA, from_=SENDER, body=body, status_callback=CALLBACK)
    assert isinstance(sent, Accepted)
    assert [message["body"] for message in await stand_in.received(1)] == [body]
    (listed,) = await client.list_messages(to=ANA, from_=SENDER, since_ms=started_ms)
    assert (listed.sid, listed.body, listed.direction) == (sent.sid, body, "outbound-api")


async def test_all_pages_of_a_long_list_are_read(stand_in: StandIn, client: TwilioClient) -> None:
    started_ms = time.time_ns() // 1_000_000
    await stand_in.write(body="Olá")
    for number in range(205):
        await client.create_message(to=ANA, from_=SENDER, body=str(number), status_callback=CALLBACK)
    listed = await client.list_messages(to=ANA, from_=SENDER, since_ms=started_ms)
    assert sorted(int(message.body) for message in listed) == list(range(205))


async def test_refusals_carry_twilios_codes(stand_in: StandIn, client: TwilioClient) -> None:
    assert await client.create_message(to=ANA, from_=SENDER, body="x" * 1601, status_callback=CALLBACK) == Refused(400, 21617)
    async with TwilioClient(account_sid=ACCOUNT_SID, auth_token="wrong", api_url=stand_in.url) as stranger:
        assert await stranger.create_message(to=ANA, from_=SENDER, body="x", status_callback=CALLBACK) == Refused(401, 20003)


async def test_typing_is_seen_on_the_phone(stand_in: StandIn, client: TwilioClient) -> None:
    written = await stand_in.write(body="Olá")
    await client.show_typing(written["sid"])
    assert (await stand_in.phone())["is_typing_shown"]
