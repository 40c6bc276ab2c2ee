"""Whole workers, all groups and all rules together, against the stand-in for Twilio: its ledger says what each phone received."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from handlers.attempts import Attempts
from handlers.breaker import Breaker
from handlers.call_twilio import CallTwilio
from handlers.journal import Journal
from handlers.model import Answer, ModelFailed, Question
from handlers.respond import RESPONDER_EVENTS, Manner, Responder
from handlers.send import SENDER_EVENTS, Sender
from handlers.send_rate import SendRate
from handlers.settle import Settler
from handlers.turn import TurnLimits
from handlers.twilio_client import TwilioClient
from projections.changes import RESPONDER, SENDER
from projections.database import Database
from projections.progress import Progress
from projections.projector import Projector
from projections.reader import Reader
from streams.consumer import BatchConsumer, GroupConsumer
from streams.engines.memory import MemoryEventLog, MemoryOwnership
from streams.envelope import new_event
from streams.events import AnyEventData, MessageReceived, MessageStatusChanged
from streams.partitions import thread_of as thread_between
from streams.retry import RetryPolicy
from streams.thread_token import open_
from tests.handlers.world import PARTITIONS, LogClock, eventually
from tests.simulator.stand_in import ACCOUNT_SID, AUTH_TOKEN, StandIn, running, settings, site_url
from tests.simulator.stand_in import SENDER as OUR_ADDRESS

SECRET = "a secret that only this test knows"
QUICK = RetryPolicy(max_attempts=5, base_seconds=0.02, max_seconds=0.2)
CONTACTS = [f"whatsapp:+55119876500{number:02}" for number in range(16)]
BURSTS = ("Oi {n}", "canário {n}, tudo bem?", "e mais uma {n}")
ROUNDS = 3
MOVE_AFTER = 5
"""So many questions to the model lie between two takeovers."""

TIMEOUT_SECONDS = 0.4


@dataclass
class Echo:
    """Repeats what it is asked, so that a phone tells what was answered, and fails now and then."""

    chance: random.Random
    calls: int = 0

    async def has_been_asked(self, times: int) -> None:
        await eventually(lambda: self.calls >= times, within_seconds=40)

    async def generate(self, question: Question) -> Answer:
        self.calls += 1
        await asyncio.sleep(self.chance.random() * 0.05)
        if self.chance.random() < 0.1:
            raise ModelFailed("echo", "http_503")
        return Answer("re: " + " / ".join(question.unanswered), False, False, "echo", 1, 1)


@dataclass
class Worker:
    """One process of three groups."""

    ownership: MemoryOwnership
    consumers: tuple[BatchConsumer, GroupConsumer, GroupConsumer]
    database: Database
    twilio: TwilioClient

    async def stop(self) -> None:
        for consumer in reversed(self.consumers):
            await consumer.stop()
        await self.twilio.close()
        await self.database.close()


async def started(log: MemoryEventLog, url: str, twilio_url: str, callback_url: str, model: Echo) -> Worker:
    ownership, database = MemoryOwnership(), Database(url)
    progress, reader = Progress(database), Reader(database)
    projector = Projector(database, progress, epoch=lambda: log.epoch, declined=ownership.decline, compare=log.disagreements)
    twilio = TwilioClient(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, api_url=twilio_url, timeout_seconds=TIMEOUT_SECONDS)
    breakers = Breaker(RESPONDER, pause_seconds=0.2), Breaker(SENDER, pause_seconds=0.2)
    journal = Journal(log, progress, reader, source="test")
    manner = Manner(0.05, TurnLimits(QUICK, 2.0, 5.0), "Sorry.", 60_000)
    responder = Responder(journal, [model], breakers[0], manner, show_typing=twilio.show_typing)
    call = CallTwilio(journal, twilio, ownership, breakers[1], QUICK, callback_url=callback_url, secret=SECRET, lease_seconds=1.0)
    settler = Settler(
        journal,
        twilio,
        breakers[1],
        grace_seconds=1.0 + TIMEOUT_SECONDS + 0.3,
        absence_is_proof=True,
        pauses=RetryPolicy(base_seconds=0.05, max_seconds=0.3),
    )
    sender = Sender(journal, call, settler, breakers[1], SendRate(), QUICK)
    consumers = (
        BatchConsumer(log, ownership, group="projector", positions=projector.positions),
        GroupConsumer(log, ownership, group=RESPONDER, names=RESPONDER_EVENTS, retry=QUICK, drain_seconds=0.1),
        GroupConsumer(log, ownership, group=SENDER, names=SENDER_EVENTS, retry=QUICK, drain_seconds=0.1),
    )
    await consumers[0].start(projector.project)
    await consumers[1].start(Attempts(journal, breakers[0], QUICK, responder.respond).run)
    await consumers[2].start(Attempts(journal, breakers[1], QUICK, sender.send).run)
    return Worker(ownership, consumers, database, twilio)


@asynccontextmanager
async def door(log: MemoryEventLog) -> AsyncIterator[str]:
    """A webhook: what Twilio posts becomes an event."""

    async def append(data: AnyEventData, thread: str) -> web.Response:
        await log.append(new_event(data, subject=thread, source="test"))
        return web.Response(text="<Response/>", content_type="text/xml")

    async def messages(request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        data = MessageReceived(sid=form["MessageSid"], kind="text", body=form["Body"], form={})
        return await append(data, thread_between(form["To"], form["From"]))

    async def status(request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        thread = open_(request.query["thread"], SECRET)
        assert thread is not None
        code = form.get("ErrorCode")
        data = MessageStatusChanged(
            sid=form["MessageSid"],
            status=form["MessageStatus"],
            error_code=int(code) if code else None,
            attempt=request.query["attempt"],
        )
        return await append(data, thread)

    app = web.Application()
    app.router.add_post("/messages", messages)
    app.router.add_post("/status", status)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield site_url(runner)
    finally:
        await runner.cleanup()


def written_by(number: int) -> list[str]:
    """What a contact writes in all."""
    return [burst.format(n=f"{number}.{turn}") for turn in range(ROUNDS) for burst in BURSTS]


async def talk(stand_in: StandIn, contact: str, number: int) -> None:
    """A burst of messages, and another once it was answered; some are delivered twice."""
    for count, body in enumerate(written_by(number), start=1):
        await stand_in.write(contact, body=body, copies=2 if number % 3 == 0 else 1)
        if count % len(BURSTS) == 0:
            await has_answers(stand_in, contact, count)


async def has_answers(stand_in: StandIn, contact: str, count: int) -> None:
    async def are_there() -> bool:
        return len(said((await stand_in.phone(contact))["received"])) >= count

    await eventually(are_there, within_seconds=40)


def said(received: list[dict[str, Any]]) -> list[str]:
    """What the answers that reached a phone answered, in the order in which they came."""
    return [text for message in received for text in message["body"].removeprefix("re: ").split(" / ")]


FAULTS = {
    "create": {
        "rates": {
            "429": 0.1,
            "500_before": 0.05,
            "500_after": 0.05,
            "reset_after": 0.05,
            "reset_before": 0.03,
            "hang_after": 0.03,
        },
    },
    "callbacks": {"lost_rate": 0.3, "duplicate_rate": 0.2, "jitter_seconds": 0.2},
}


async def test_every_message_is_answered_in_order_and_once_though_all_goes_wrong_and_workers_lose_their_partitions(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log, model = MemoryEventLog(PARTITIONS, LogClock()), Echo(random.Random(7))  # noqa: S311 - faults must be repeatable, not secret
    with capture_logs() as lines:
        async with door(log) as door_url, running(settings(inbound_url=f"{door_url}/messages", seed=7)) as stand_in:
            await stand_in.break_down(**FAULTS)
            workers = [await started(log, empty_database_url, stand_in.url, f"{door_url}/status", model) for _ in range(2)]
            workers[0].ownership.gain(0, 1)
            workers[1].ownership.gain(2, 3)
            talking = [asyncio.create_task(talk(stand_in, contact, n)) for n, contact in enumerate(CONTACTS)]
            for turn in range(8):
                await model.has_been_asked(MOVE_AFTER * (turn + 1))
                await move(turn % PARTITIONS, workers)
            await asyncio.gather(*talking)
            for number, contact in enumerate(CONTACTS):
                assert said((await stand_in.phone(contact))["received"]) == written_by(number)
            for worker in workers:
                await worker.stop()
    assert_nothing_is_told(lines, caplog)


async def move(partition: int, workers: list[Worker]) -> None:
    """The owner's lease lapses in the middle of everything, and the other takes over."""
    loser, gainer = workers if partition in workers[0].ownership.owned else workers[::-1]
    await loser.ownership.lose(partition)
    gainer.ownership.gain(partition, is_graceful=False)


def assert_nothing_is_told(lines: Any, caplog: pytest.LogCaptureFixture) -> None:
    told = " ".join([*(str(line) for line in lines), *(record.getMessage() for record in caplog.records)])
    assert lines
    for canary in ("canário", "re: Oi", "551198765", SECRET, AUTH_TOKEN, OUR_ADDRESS):
        assert canary not in told, canary
