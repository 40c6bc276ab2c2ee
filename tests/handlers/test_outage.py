"""
An outage of ten minutes diverts nothing, on a quiet system as well as on a busy one; a poison is given up all the same.

Pauses and graces are some hundred times shorter than in the field, and so are the outages: what they are compared with is how
often one message is tried in vain before it might be given up.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.breaker import FAILURES_IN_A_ROW, Breaker
from handlers.model import Answer, ModelFailed
from handlers.respond import GroupPaused, Responder
from handlers.send import Sender
from handlers.turn import TurnLimits
from handlers.twilio_answers import ListedMessage, Refused, SendResult, Unknown
from projections.changes import RESPONDER, SENDER
from projections.state import ReplyKind, ReplyStatus
from streams.cancellation import end
from streams.events import ConversationReleased, ConversationTaken, RedriveRequested
from tests.handlers.fake_twilio import BROKEN, LOST, NEVER, TOO_MANY, UNAVAILABLE, FakeTwilio
from tests.handlers.world import QUICK, Model, World, Written, eventually, thread_of

BUSY = 5 * FAILURES_IN_A_ROW
"""Far more threads than failures pause a group, and than Postgres has connections for."""
TIMEOUT = Unknown("timeout")
OUTAGE_TRIES = 4 * QUICK.max_attempts


@dataclass
class Away(FakeTwilio):
    """While `how` is told, every call ends so; the listing fails as well if `lists_nothing`."""

    how: SendResult | None = None
    lists_nothing: bool = False

    async def create_message(self, **form: Any) -> SendResult:
        how = self.how
        if how is None:
            return await super().create_message(**form)
        await self.note_call(form["status_callback"])
        return how

    async def list_messages(self, **query: Any) -> tuple[ListedMessage, ...]:
        if self.how is not None and self.lists_nothing:
            self.listings += 1
            raise UNAVAILABLE
        return await super().list_messages(**query)


async def send(sender: Sender, written: Written) -> None:
    await sender.send(written.delivered_to(SENDER))


@asynccontextmanager
async def at_once(works: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """All of them; none outlives the test, whatever becomes of it, to meet a database that is closed."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        await end(tasks)


async def replies_to(world: World, count: int) -> list[Written]:
    return [await world.answered(thread_of(number), "Hello.", reply=f"r{number}") for number in range(count)]


async def assert_all_sent_once(world: World, twilio: FakeTwilio, written: Sequence[Written]) -> None:
    assert len(twilio.taken) == len(written) == len({taken.to for taken in twilio.taken})
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    assert await world.rows("SELECT 1 FROM replies WHERE status <> 'sent'") == []


# ------------------------------------------------------------------------------------------------------- the sender


@pytest.mark.parametrize("lists_nothing", [False, True])
@pytest.mark.parametrize("how", [BROKEN, TIMEOUT, NEVER, TOO_MANY], ids=["5xx", "timeout", "never connected", "429"])
async def test_a_lone_reply_outlives_an_outage_of_twilio(world: World, how: SendResult, lists_nothing: bool) -> None:
    twilio = Away(how=how, lists_nothing=lists_nothing)
    written = await world.answered(thread_of(0), "Hello.")
    sending = asyncio.create_task(send(world.sender(twilio=twilio, grace_seconds=0.02), written))
    await eventually(lambda: twilio.listings + len(twilio.calls) >= OUTAGE_TRIES, within_seconds=30)
    twilio.how = None
    await asyncio.wait_for(sending, 10)
    await assert_all_sent_once(world, twilio, [written])


@pytest.mark.parametrize("how", [BROKEN, NEVER], ids=["5xx", "never connected"])
async def test_many_replies_outlive_an_outage_of_twilio(world: World, how: SendResult) -> None:
    twilio, breaker = Away(how=how), Breaker(SENDER, pause_seconds=0.02)
    sender = world.sender(twilio=twilio, breaker=breaker, grace_seconds=0.1, lease_seconds=60)
    written = await replies_to(world, BUSY)
    async with at_once(send(sender, each) for each in written) as sending:
        await eventually(lambda: breaker.is_open and len(twilio.calls) >= BUSY // 2, within_seconds=60)
        twilio.how = None
        await asyncio.wait_for(asyncio.gather(*sending), 120)
    await assert_all_sent_once(world, twilio, written)


@pytest.mark.parametrize(
    "how",
    [TOO_MANY, Refused(400, 20429), Refused(408, None), Refused(400, 63018)],
    ids=["429", "20429 by another status", "408", "the sender writes too fast"],
)
async def test_refusals_that_pass_pause_the_group_like_any_outage(world: World, how: SendResult) -> None:
    """Else each thread would go on calling by itself, and Twilio would go on refusing."""
    twilio, breaker = Away(how=how), Breaker(SENDER, pause_seconds=0.02)
    sender = world.sender(twilio=twilio, breaker=breaker)
    written = await replies_to(world, FAILURES_IN_A_ROW)
    async with at_once(send(sender, each) for each in written) as sending:
        await eventually(lambda: breaker.is_open)
        twilio.how = None
        await asyncio.wait_for(asyncio.gather(*sending), 30)
    assert not breaker.is_open
    await assert_all_sent_once(world, twilio, written)


async def test_a_worker_that_begins_anew_in_an_outage_gives_nothing_up_for_what_others_counted(world: World) -> None:
    """The tries stand in the log; that everything failed does not. And a neighbour that succeeds first condemns nobody."""
    twilio, old_worker = Away(how=BROKEN), world.sender
    written, neighbour = await replies_to(world, 2)
    first = asyncio.create_task(send(old_worker(twilio=twilio, grace_seconds=0.01), written))
    await eventually(lambda: len(twilio.calls) > 2 * QUICK.max_attempts)
    first.cancel()
    await asyncio.wait([first])
    breaker = Breaker(SENDER, pause_seconds=0.02)
    sender = world.sender(twilio=twilio, breaker=breaker, grace_seconds=0.01)
    tried, second = len(twilio.calls), asyncio.create_task(send(sender, written))
    await eventually(lambda: len(twilio.calls) > tried + QUICK.max_attempts)
    twilio.how = None
    await asyncio.gather(send(sender, neighbour), second)
    await assert_all_sent_once(world, twilio, [written, neighbour])


@dataclass
class PickyTwilio(FakeTwilio):
    """Breaks off every call for one text, and takes all others."""

    async def create_message(self, *, to: str, from_: str, body: str, status_callback: str) -> SendResult:
        if body == "poison":
            await self.note_call(status_callback)
            return BROKEN
        return await super().create_message(to=to, from_=from_, body=body, status_callback=status_callback)


async def test_a_lone_poison_reply_is_given_up_and_no_neighbour_is_a_second_late(world: World) -> None:
    twilio = PickyTwilio()
    sender = world.sender(twilio=twilio, grace_seconds=0.05)
    poison = await world.answered(thread_of(0), "poison", reply="r0")
    sending, latest = asyncio.create_task(send(sender, poison)), 0.0
    for number in range(1, 1000):
        neighbour = await world.answered(thread_of(number), "Hello.", reply=f"r{number}")
        began = time.monotonic()
        await send(sender, neighbour)
        latest = max(latest, time.monotonic() - began)
        if sending.done():
            break
    assert sending.done()
    (letter,) = await world.rows("SELECT event_id, consumer_group, error FROM dead_letters")
    assert letter == {"event_id": poison.event.id, "consumer_group": SENDER, "error": "send.unanswered"}
    assert (await world.reply(thread_of(0), "r0")).status is ReplyStatus.FAILED
    assert latest < 1.0


async def test_a_reply_that_fails_alone_for_hours_is_given_up_in_the_end(world: World) -> None:
    now = [0.0]
    breaker = Breaker(SENDER, pause_seconds=0.02, patience_seconds=3600, clock=lambda: now[0])
    twilio = Away(how=BROKEN)
    sending = asyncio.create_task(
        send(world.sender(twilio=twilio, breaker=breaker, grace_seconds=0.01), await world.answered(thread_of(0), "Hello."))
    )
    await eventually(lambda: len(twilio.calls) >= OUTAGE_TRIES)
    assert not sending.done()
    now[0] = 3600
    await asyncio.wait_for(sending, 10)
    (letter,) = await world.rows("SELECT error FROM dead_letters")
    assert letter == {"error": "send.unanswered"}


async def test_a_message_taken_in_an_outage_is_not_sent_again_after_it(world: World) -> None:
    """Twilio takes the message and breaks off, and then lists nothing for as long as the outage lasts."""
    twilio = Away(script=[LOST])
    twilio.listing_faults = [UNAVAILABLE] * 5
    sending = asyncio.create_task(
        send(world.sender(twilio=twilio, grace_seconds=0.01), await world.answered(thread_of(0), "Hello."))
    )
    await sending
    assert twilio.listings == 6
    assert twilio.bodies() == ["Hello."]
    assert len(twilio.calls) == 1


async def test_what_failed_hours_ago_and_was_found_to_be_sent_makes_no_poison_of_what_fails_now(world: World) -> None:
    now = [0.0]
    breaker = Breaker(SENDER, pause_seconds=0.02, patience_seconds=3600, clock=lambda: now[0])
    twilio = Away(script=[LOST])
    sender = world.sender(twilio=twilio, breaker=breaker, grace_seconds=0.01)
    written = await replies_to(world, 1)
    await send(sender, written[0])
    now[0], twilio.how = 3600, BROKEN
    sending = asyncio.create_task(send(sender, await world.answered(thread_of(0), "Again.", reply="r1")))
    await eventually(lambda: sending.done() or len(twilio.calls) >= OUTAGE_TRIES)
    twilio.how = None
    await asyncio.wait_for(sending, 10)
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    assert twilio.bodies() == ["Hello.", "Again."]


# ---------------------------------------------------------------------------------------------------- the responder


@dataclass
class AwayModel(Model):
    """Answers nobody while it is away, and never what is poison to it."""

    is_away: bool = True

    async def generate(self, question: Any) -> Answer:
        self.script = [ModelFailed("by hand", "http_503")] if self.is_away or question.unanswered == ("poison",) else []
        return await super().generate(question)


QUICK_TURN = TurnLimits(QUICK, request_timeout_seconds=2.0, turn_timeout_seconds=0.05)


async def respond(responder: Responder, written: Written) -> None:
    """As the group does: again after a pause, until it is done."""
    while True:
        with suppress(GroupPaused):
            return await responder.respond(written.delivered_to(RESPONDER))
        await asyncio.sleep(0.01)


async def test_a_lone_message_outlives_an_outage_of_the_model(world: World) -> None:
    model = AwayModel()
    responder = world.responder(model, limits=QUICK_TURN)
    written = await world.write(thread_of(0))
    responding = asyncio.create_task(respond(responder, written))
    await eventually(lambda: len(model.questions) >= 10 * OUTAGE_TRIES)
    model.is_away = False
    await asyncio.wait_for(responding, 10)
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    assert [reply.kind for reply in await world.replies(thread_of(0))] == [ReplyKind.FAILURE_SENTENCE, ReplyKind.ANSWER]
    assert len(await world.facts(thread_of(0), "reply.failed")) == 1


async def test_many_messages_outlive_an_outage_of_the_model(world: World) -> None:
    model, breaker = AwayModel(), Breaker(RESPONDER, pause_seconds=0.02)
    responder = world.responder(model, limits=QUICK_TURN, breaker=breaker, quiet_seconds=0.0)
    written = [await world.write(thread_of(number)) for number in range(BUSY)]
    async with at_once(respond(responder, each) for each in written) as responding:
        await eventually(lambda: breaker.is_open and len(model.questions) >= BUSY, within_seconds=60)
        model.is_away = False
        await asyncio.wait_for(asyncio.gather(*responding), 120)
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    answered = await world.rows("SELECT thread FROM replies WHERE kind = 'answer' AND status = 'accepted'")
    assert len(answered) == BUSY == len({row["thread"] for row in answered})


async def test_a_lone_poison_message_is_given_up_and_no_neighbour_is_a_second_late(world: World) -> None:
    model = AwayModel(is_away=False)
    responder = world.responder(model, limits=QUICK_TURN, quiet_seconds=0.0)
    poison = await world.write(thread_of(0), "poison")
    responding, latest = asyncio.create_task(respond(responder, poison)), 0.0
    for number in range(1, 1000):
        neighbour = await world.write(thread_of(number))
        began = time.monotonic()
        await respond(responder, neighbour)
        latest = max(latest, time.monotonic() - began)
        if responding.done():
            break
    assert responding.done()
    (letter,) = await world.rows("SELECT event_id, consumer_group FROM dead_letters")
    assert letter == {"event_id": poison.event.id, "consumer_group": RESPONDER}
    assert [reply.kind for reply in await world.replies(thread_of(0))] == [ReplyKind.FAILURE_SENTENCE]
    assert latest < 1.0


async def test_an_outage_of_hours_ago_that_a_person_ended_makes_no_poison_of_what_is_written_now(world: World) -> None:
    now = [0.0]
    breaker = Breaker(RESPONDER, pause_seconds=0.02, patience_seconds=3600, clock=lambda: now[0])
    model = AwayModel()
    responder = world.responder(model, limits=QUICK_TURN, breaker=breaker)
    with suppress(GroupPaused):
        await responder.respond((await world.write(thread_of(0))).delivered_to(RESPONDER))
    await world.append(ConversationTaken(by="ana"), thread_of(0))
    await world.append(ConversationReleased(by="ana"), thread_of(0))
    now[0], asked = 3600, len(model.questions)
    responding = asyncio.create_task(respond(responder, await world.write(thread_of(0))))
    await eventually(lambda: responding.done() or len(model.questions) >= asked + OUTAGE_TRIES)
    model.is_away = False
    await asyncio.wait_for(responding, 10)
    assert await world.rows("SELECT 1 FROM dead_letters") == []


# ------------------------------------------------------------------------------------------------------ the handlers


async def test_a_defect_that_meets_every_message_diverts_none_of_many(world: World) -> None:
    """A handler's own errors speak of their message, until everybody has them."""
    breaker, is_broken = Breaker(RESPONDER, pause_seconds=0.02), True

    async def handle(delivery: Any) -> None:
        if is_broken:
            raise ValueError
        breaker.succeeded(delivery.event.subject)

    attempts = world.attempts(handle, breaker=breaker)
    written = [await world.write(thread_of(number)) for number in range(30)]
    with capture_logs():
        running = [asyncio.create_task(attempts.run(each.delivered_to(RESPONDER))) for each in written]

        async def all_have_failed_often() -> bool:
            rows = await world.rows("SELECT count(*) AS failed FROM events WHERE type LIKE 'prosa.attempt.failed%'")
            return bool(rows[0]["failed"] >= 30 * QUICK.max_attempts)

        await eventually(all_have_failed_often, within_seconds=60)
        is_broken = False
        await asyncio.wait_for(asyncio.gather(*running), 60)
    assert await world.rows("SELECT 1 FROM dead_letters") == []


async def test_a_redriven_reply_has_all_its_tries_again(world: World) -> None:
    """Given up once, and in the next outage alone: it waits like any other."""
    now = [0.0]
    breaker = Breaker(SENDER, pause_seconds=0.02, patience_seconds=3600, clock=lambda: now[0])
    twilio = Away(how=BROKEN)
    sender = world.sender(twilio=twilio, breaker=breaker, grace_seconds=0.01)
    written = await world.answered(thread_of(0), "Hello.")
    sending = asyncio.create_task(send(sender, written))
    await eventually(lambda: len(twilio.calls) > QUICK.max_attempts)
    now[0] = 3600
    await asyncio.wait_for(sending, 10)
    redrive = await world.append(RedriveRequested(event=written.event.id, group=SENDER, by="ana"), thread_of(0))
    tried, again = len(twilio.calls), asyncio.create_task(send(sender, redrive))
    await eventually(lambda: len(twilio.calls) > tried + QUICK.max_attempts)
    twilio.how = None
    await asyncio.wait_for(again, 10)
    assert twilio.bodies() == ["Hello."]
