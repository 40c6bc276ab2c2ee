"""The sender on the real projector: parts in order, each accepted at most once, whatever Twilio does."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.breaker import FAILURES_IN_A_ROW, THREADS_IN_A_ROW, Breaker
from handlers.send import Sender
from handlers.twilio_answers import Refused, TooManyRequests
from projections.changes import SENDER
from projections.state import PartStatus, ReplyStatus, Status
from streams.errors import LeaseLost
from streams.events import (
    ConversationTaken,
    MessageSent,
    PersonReplied,
    RedriveRequested,
    Rejection,
    ReplyFailed,
    SendDisproved,
    SendRejected,
    SendStarted,
)
from streams.retry import RetryPolicy
from tests.handlers.fake_twilio import BROKEN, NEVER, TOO_MANY, FakeTwilio
from tests.handlers.world import QUICK, World, Written, eventually, thread_of

ANA = thread_of(1)
BIA = thread_of(2)
HOUR_MS = 3_600_000


async def send(sender: Sender, *written: Written) -> None:
    for each in written:
        await sender.send(each.delivered_to(SENDER))


async def rejections(world: World, thread: str = ANA) -> list[tuple[Rejection, int | None]]:
    facts = await world.facts(thread, "send.rejected")
    return [(fact.reason, fact.code) for fact in facts if isinstance(fact, SendRejected)]


async def test_the_parts_of_a_reply_go_out_in_order_and_once(world: World) -> None:
    written = await world.answered(ANA, "one", "two", "three")
    sender = world.sender()
    await send(sender, written, written)
    await send(world.sender(), written)
    assert world.twilio.bodies() == ["one", "two", "three"]
    reply = await world.reply(ANA)
    assert reply.status is ReplyStatus.SENT
    assert [line.body for line in await world.history(ANA)] == ["Olá", "one", "two", "three"]


async def test_the_first_send_makes_a_conversation_active(world: World) -> None:
    await send(world.sender(), await world.answered(ANA, "Hello."))
    conversation = (await world.state(ANA)).conversation
    assert conversation is not None
    assert conversation.status is Status.ACTIVE


async def test_the_callback_address_carries_the_attempt_and_no_phone_number(world: World) -> None:
    seen: list[str] = []

    class Curious(type(world.twilio)):  # type: ignore[misc]
        async def create_message(self, **form: Any) -> Any:
            seen.append(form["status_callback"])
            return await super().create_message(**form)

    twilio = Curious()
    await send(world.sender(twilio=twilio), await world.answered(ANA, "Hello."))
    (part,) = (await world.reply(ANA)).parts
    assert part.attempts[0].id in seen[0]
    assert "5511" not in seen[0]


async def test_a_failure_sentence_and_a_persons_message_are_sent_too(world: World) -> None:
    written = await world.write(ANA)
    failed = ReplyFailed(
        reply="f1",
        first_event=written.event.id,
        last_event=written.event.id,
        error="e",
        attempts=1,
        fingerprint="f",
        sentence="Sorry.",
    )
    sender = world.sender()
    await send(sender, await world.append(failed, ANA))
    await send(sender, await world.append(PersonReplied(reply="p1", parts=("I am here.",), by="ana"), ANA))
    assert world.twilio.bodies() == ["Sorry.", "I am here."]


async def test_a_superseded_reply_is_not_sent(world: World) -> None:
    first = await world.write(ANA)
    await world.write(ANA)
    superseded = await world.answered(ANA, "late", first_event=first.event.id + "x")
    await send(world.sender(), superseded)
    assert world.twilio.calls == []


async def test_a_withdrawn_reply_is_not_sent(world: World) -> None:
    written = await world.answered(ANA, "Hello.")
    await world.append(ConversationTaken(by="ana"), ANA)
    await send(world.sender(), written)
    assert world.twilio.calls == []


async def test_a_closed_window_costs_no_call(world: World) -> None:
    written = await world.answered(ANA, "one", "two")
    world.clock.ahead_ms += 24 * HOUR_MS
    await world.tick(written.at.partition)
    await send(world.sender(), written)
    assert world.twilio.calls == []
    assert await rejections(world) == [(Rejection.WINDOW_CLOSED, 63016)]
    assert [part.status for part in (await world.reply(ANA)).parts] == [PartStatus.REJECTED, PartStatus.CANCELLED]


# ---------------------------------------------------------------------------------------- surely not sent: again


@pytest.mark.parametrize("answer", [TOO_MANY, NEVER, Refused(400, 63018), Refused(408, None)])
async def test_what_surely_was_not_sent_is_sent_again(world: World, answer: Any) -> None:
    world.twilio.script = [answer, answer]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello."]
    assert len(world.twilio.calls) == 3
    assert world.twilio.listings == 0


async def test_each_call_is_an_attempt_of_its_own(world: World) -> None:
    """So that its date in the log tells when it has ended, however long the pause before it was."""
    world.twilio.script = [TOO_MANY, TOO_MANY]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert len(set(world.twilio.calls)) == 3


async def test_twilio_is_left_alone_for_as_long_as_it_asked(world: World) -> None:
    world.twilio.script = [TooManyRequests(20429, 0.4)]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    first, second = world.twilio.called_at
    assert second - first >= 0.4


async def test_a_reply_that_is_withdrawn_while_twilio_is_left_alone_is_not_sent(world: World) -> None:
    world.twilio.script = [TooManyRequests(20429, 0.3)]
    sending = asyncio.create_task(send(world.sender(), await world.answered(ANA, "Hello.")))
    await eventually(lambda: world.twilio.calls)
    await eventually(lambda: has_facts(world, "send.disproved"))
    await world.append(ConversationTaken(by="ana"), ANA)
    await sending
    assert len(world.twilio.calls) == 1
    assert (await world.reply(ANA)).status is ReplyStatus.WITHDRAWN


async def has_facts(world: World, name: str, thread: str = ANA) -> bool:
    return bool(await world.facts(thread, name))


# -------------------------------------------------------------------------------------------------- surely refused


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (63016, Rejection.WINDOW_CLOSED),
        (21211, Rejection.UNREACHABLE),
        (21610, Rejection.OPTED_OUT),
        (63038, Rejection.LIMIT),
        (21617, Rejection.CONFIGURATION),
        (99999, Rejection.UNKNOWN),
        (None, Rejection.UNKNOWN),
    ],
)
async def test_a_refusal_is_one_call_and_a_dead_letter_with_its_code(world: World, code: int | None, reason: Rejection) -> None:
    world.twilio.script = [Refused(400, code)]
    written = await world.answered(ANA, "one", "two")
    await send(world.sender(), written)
    assert len(world.twilio.calls) == 1
    assert await rejections(world) == [(reason, code)]
    (letter,) = await world.rows("SELECT event_id, consumer_group, status FROM dead_letters WHERE consumer_group = 'sender'")
    assert letter == {"event_id": written.event.id, "consumer_group": SENDER, "status": "open"}


async def test_a_redriven_reply_is_sent(world: World) -> None:
    world.twilio.script = [Refused(400, 21617)]
    written = await world.answered(ANA, "Hello.")
    sender = world.sender()
    await send(sender, written)
    await send(sender, await world.append(RedriveRequested(event=written.event.id, group=SENDER, by="ana"), ANA))
    assert world.twilio.bodies() == ["Hello."]


async def test_a_redrive_of_another_group_is_none_of_its_business(world: World) -> None:
    await world.answered(ANA, "Hello.")
    await send(world.sender(), await world.append(RedriveRequested(event="x", group="responder", by="ana"), ANA))
    assert world.twilio.calls == []


async def test_refused_credentials_stop_the_group_without_a_dead_letter_until_they_work(world: World) -> None:
    world.twilio.is_denied = True
    breaker = Breaker(SENDER, pause_seconds=0.05)
    sender = world.sender(breaker=breaker)
    sending = [asyncio.create_task(send(sender, await world.answered(thread, "Hello."))) for thread in (ANA, BIA)]
    await eventually(lambda: len(world.twilio.calls) >= 4)
    assert breaker.is_open
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    world.twilio.is_denied = False
    await asyncio.gather(*sending)
    assert not breaker.is_open
    assert world.twilio.bodies() == ["Hello.", "Hello."]


async def test_who_waited_for_the_breaker_looks_again(world: World) -> None:
    breaker = Breaker(SENDER, pause_seconds=0.2)
    breaker.trip("test")
    sending = asyncio.create_task(send(world.sender(breaker=breaker), await world.answered(ANA, "Hello.")))
    await eventually(breaker._probes.locked)
    await world.append(ConversationTaken(by="ana"), ANA)
    await sending
    assert world.twilio.calls == []
    assert not await has_facts(world, "send.started")


@pytest.mark.parametrize("answer", [NEVER, TOO_MANY])
async def test_while_twilio_takes_nothing_the_group_waits_and_asks_now_and_then(world: World, answer: Any) -> None:
    """A long outage is not to fill the log with attempts."""
    world.twilio.script = [answer] * (FAILURES_IN_A_ROW + 2)
    breaker = Breaker(SENDER, pause_seconds=0.01)
    sender = world.sender(breaker=breaker, retry=RetryPolicy(99, 0.001, 0.001))
    written = [await world.answered(thread_of(number), "Hello.") for number in range(THREADS_IN_A_ROW)]
    with capture_logs() as lines:
        await asyncio.gather(*(send(sender, each) for each in written))
    assert world.twilio.bodies() == ["Hello."] * THREADS_IN_A_ROW
    assert not breaker.is_open
    assert [line["event"] for line in lines if line["event"].startswith("group.")] == ["group.paused", "group.resumed"]


# ------------------------------------------------------------------------------------------------ reported later


async def sent_and_failed(world: World, sender: Sender, code: int | None, *parts: str) -> Written:
    await send(sender, await world.answered(ANA, *(parts or ("Hello.",))))
    taken = world.twilio.taken[0]
    return await world.status(ANA, taken.sid, "undelivered", attempt=taken.attempt, code=code)


@pytest.mark.parametrize("code", [63018, 30001, 63017, 63012])
async def test_what_was_lost_to_a_limit_is_sent_again(world: World, code: int) -> None:
    sender = world.sender()
    await send(sender, await sent_and_failed(world, sender, code))
    assert world.twilio.bodies() == ["Hello.", "Hello."]
    assert (await world.reply(ANA)).status is ReplyStatus.SENT
    (disproved,) = await world.facts(ANA, "send.disproved")
    assert isinstance(disproved, SendDisproved)
    assert disproved.code == code


@pytest.mark.parametrize(
    ("code", "reason"), [(63016, Rejection.WINDOW_CLOSED), (63003, Rejection.UNREACHABLE), (None, Rejection.UNKNOWN)]
)
async def test_what_cannot_arrive_is_a_dead_letter(world: World, code: int | None, reason: Rejection) -> None:
    sender = world.sender()
    await send(sender, await sent_and_failed(world, sender, code))
    assert world.twilio.bodies() == ["Hello."]
    assert await rejections(world) == [(reason, code)]


async def test_what_is_lost_again_and_again_is_given_up(world: World) -> None:
    sender = world.sender(retry=RetryPolicy(max_attempts=2, base_seconds=0.001, max_seconds=0.001))
    await send(sender, await sent_and_failed(world, sender, 63018))
    taken = world.twilio.taken[1]
    await send(sender, await world.status(ANA, taken.sid, "failed", attempt=taken.attempt, code=63018))
    assert len(world.twilio.taken) == 2
    assert await rejections(world) == [(Rejection.THROTTLED, 63018)]


async def test_what_is_lost_is_not_sent_after_what_comes_later(world: World) -> None:
    sender = world.sender()
    await send(sender, await sent_and_failed(world, sender, 63018, "one", "two"))
    assert world.twilio.bodies() == ["one", "two"]
    assert await rejections(world) == [(Rejection.SUPERSEDED, 63018)]


async def test_what_arrives_after_all_is_not_sent_again(world: World) -> None:
    sender = world.sender(retry=RetryPolicy(max_attempts=9, base_seconds=0.3, max_seconds=0.3))
    failed = await sent_and_failed(world, sender, 63018)
    judging = asyncio.create_task(send(sender, failed))
    taken = world.twilio.taken[0]
    await world.status(ANA, taken.sid, "delivered", attempt=taken.attempt)
    await judging
    assert world.twilio.bodies() == ["Hello."]
    assert not await has_facts(world, "send.disproved")


async def test_a_failure_that_is_told_before_our_own_record_is_judged(world: World) -> None:
    async def tell() -> None:
        attempt = world.twilio.calls[0]
        await world.status(ANA, world.twilio.next_sid, "undelivered", attempt=attempt, code=63018)

    world.twilio.script = [tell]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello.", "Hello."]


async def test_a_callback_before_our_own_record_is_no_second_message(world: World) -> None:
    async def tell() -> None:
        await world.status(ANA, world.twilio.next_sid, "delivered", attempt=world.twilio.calls[0])

    world.twilio.script = [tell]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello."]
    (row,) = await world.rows("SELECT status, reply_id FROM messages WHERE direction = 'outbound'")
    assert row == {"status": "delivered", "reply_id": "r1"}


async def test_good_news_costs_nothing(world: World) -> None:
    """Three callbacks come for every message: they are not worth a look."""
    looks = 0

    class Counting(type(world.journal())):  # type: ignore[misc]
        async def look(self, *args: Any) -> Any:
            nonlocal looks
            looks += 1
            return await super().look(*args)

    journal = Counting(world.log, world.progress, None, source="test")
    sender = world.sender(journal=journal)
    for status in ("queued", "sent", "delivered", "read"):
        await send(sender, await world.status(ANA, "SM1", status, attempt="a1"))
    assert looks == 0


# ---------------------------------------------------------------------------------------------------------- leases


class Lease:
    """An ownership that lasts as long as the test says."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.owned = (0, 1, 2, 3)

    def remaining_seconds(self, partition: int) -> float:
        return self.seconds

    def is_leaving(self, partition: int) -> bool:
        return False


async def test_a_lease_too_short_for_a_call_leaves_the_part_to_the_next_owner(world: World) -> None:
    written = await world.answered(ANA, "Hello.")
    with pytest.raises(LeaseLost):
        await send(world.sender(ownership=Lease(0.2), lease_seconds=0.1), written)
    assert world.twilio.calls == []
    assert await has_facts(world, "send.cancelled")
    await send(world.sender(), written)
    assert world.twilio.bodies() == ["Hello."]


async def test_a_lease_that_is_renewed_in_time_is_waited_for(world: World) -> None:
    lease = Lease(0.2)
    sending = asyncio.create_task(send(world.sender(ownership=lease, lease_seconds=2.0), await world.answered(ANA, "Hello.")))
    await eventually(lambda: has_facts(world, "send.started"))
    assert world.twilio.calls == []
    lease.seconds = 2.0
    await sending
    assert world.twilio.bodies() == ["Hello."]
    assert not await has_facts(world, "send.cancelled")


async def test_a_call_that_could_only_begin_late_is_not_made_under_its_old_attempt(world: World) -> None:
    """Postgres was away between the start and the call: whoever settles would believe that the call has long ended."""
    journal, loop = world.journal(), asyncio.get_running_loop()
    record, slow = journal.record, ["the first start"]

    async def late(data: Any, **place: Any) -> Any:
        view = await record(data, **place)
        if data.name == "send.started" and slow:
            slow.clear()
            too_late = loop.time() + 0.2
            await eventually(lambda: loop.time() > too_late)
        return view

    journal.record = late  # type: ignore[method-assign]
    await send(world.sender(journal=journal, lease_seconds=0.2, ownership=Lease(9.0)), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello."]
    started = [fact.attempt for fact in await world.facts(ANA, "send.started") if isinstance(fact, SendStarted)]
    assert len(started) > 1
    assert world.twilio.calls == started[-1:]
    assert await has_facts(world, "send.cancelled")


# ------------------------------------------------------------------------------------------------------ overlooked


async def test_a_tick_finds_what_nobody_sent(world: World) -> None:
    written = await world.answered(ANA, "Hello.")
    sender = world.sender()
    await send(sender, await world.tick(written.at.partition))
    assert world.twilio.bodies() == []
    world.clock.ahead_ms += 60_001
    await send(sender, await world.tick(written.at.partition))
    assert world.twilio.bodies() == ["Hello."]


async def test_a_tick_and_an_event_never_work_on_a_thread_together(world: World) -> None:
    gate = asyncio.Event()
    world.twilio.script = [gate.wait]  # type: ignore[list-item]
    written = await world.answered(ANA, "one", "two")
    world.clock.ahead_ms += 60_001
    sender = world.sender(lease_seconds=5.0)
    sending = asyncio.create_task(send(sender, written))
    await eventually(lambda: world.twilio.calls)
    await send(sender, await world.tick(written.at.partition))
    waiting = asyncio.create_task(send(sender, written))
    await world.view(ANA)
    assert len(world.twilio.calls) == 1
    gate.set()
    await asyncio.gather(sending, waiting)
    assert world.twilio.bodies() == ["one", "two"]


async def test_what_was_sent_by_whoever_is_not_sent_again(world: World) -> None:
    written = await world.answered(ANA, "Hello.")
    sender = world.sender()
    await send(sender, written)
    (part,) = (await world.reply(ANA)).parts
    await world.append(MessageSent(reply="r1", part=0, attempt=part.attempts[0].id, sid="SM9"), ANA)
    await send(sender, written)
    assert world.twilio.bodies() == ["Hello."]


# ----------------------------------------------------------------------------------------------------------- pauses


async def test_a_person_who_takes_over_does_not_wait_for_the_pause_of_the_ai(world: World, monkeypatch: Any) -> None:
    """Twilio asked for minutes of patience before the AI's words; those are withdrawn, and the person's come next."""
    monkeypatch.setattr("handlers.watch.LOOK_AGAIN_SECONDS", 0.05)
    world.twilio.script = [TooManyRequests(20429, 600.0)]
    sending = asyncio.create_task(send(world.sender(), await world.answered(ANA, "the AI's")))
    await eventually(lambda: has_facts(world, "send.disproved"))
    await world.append(ConversationTaken(by="ana"), ANA)
    await world.append(PersonReplied(reply="p1", parts=("the person's",), by="ana"), ANA)
    await asyncio.wait_for(sending, 5)
    assert world.twilio.bodies() == ["the person's"]


async def test_what_comes_in_meanwhile_does_not_shorten_the_pause_that_twilio_asked_for(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("handlers.watch.LOOK_AGAIN_SECONDS", 0.02)
    world.twilio.script = [TooManyRequests(20429, 0.4)]
    sending = asyncio.create_task(send(world.sender(), await world.answered(ANA, "Hello.")))
    await eventually(lambda: has_facts(world, "send.disproved"))
    await world.write(ANA, "Are you there?")
    await sending
    first, second = world.twilio.called_at
    assert second - first >= 0.4


async def test_a_redriven_reply_that_whatsapp_loses_again_has_all_its_tries_again(world: World) -> None:
    sender = world.sender(retry=RetryPolicy(max_attempts=2, base_seconds=0.001, max_seconds=0.001))
    written = await world.answered(ANA, "Hello.")
    await send(sender, written)
    for sent_before in range(4):
        taken = world.twilio.taken[sent_before]
        await send(sender, await world.status(ANA, taken.sid, "failed", attempt=taken.attempt, code=63018))
        if sent_before == 1:
            assert await rejections(world) == [(Rejection.THROTTLED, 63018)]
            await send(sender, await world.append(RedriveRequested(event=written.event.id, group=SENDER, by="ana"), ANA))
    assert len(world.twilio.taken) == 4
    assert await rejections(world) == [(Rejection.THROTTLED, 63018)] * 2


# -------------------------------------------------------------------------------------------------- calls in vain


@dataclass
class Picky(FakeTwilio):
    """Breaks off every call for one text, and has not taken it; while it is called, a neighbour's message is taken."""

    breaker: Breaker = field(default_factory=lambda: Breaker(SENDER, pause_seconds=0.02))

    async def create_message(self, *, to: str, from_: str, body: str, status_callback: str) -> Any:
        if body == "stuck":
            self.script.insert(0, BROKEN)
            asyncio.get_running_loop().call_later(0.01, self.breaker.succeeded, "a neighbour")
        return await super().create_message(to=to, from_=from_, body=body, status_callback=status_callback)


async def test_a_part_that_twilio_breaks_off_for_ever_is_given_up_and_the_thread_goes_on(world: World) -> None:
    twilio = Picky()
    sender = world.sender(twilio=twilio, breaker=twilio.breaker, grace_seconds=0.05)
    stuck = await world.answered(ANA, "stuck", "and more")
    await send(sender, stuck, await world.answered(ANA, "newer", reply="r2"))
    assert len(twilio.calls) == 1 + QUICK.max_attempts + 1
    assert twilio.bodies() == ["newer"]
    (letter,) = await world.rows("SELECT event_id, consumer_group, error, attempts FROM dead_letters")
    assert letter == {
        "event_id": stuck.event.id,
        "consumer_group": SENDER,
        "error": "send.unanswered",
        "attempts": 1 + QUICK.max_attempts,
    }


async def test_a_reply_that_was_given_up_so_has_all_its_calls_again_when_it_is_redriven(world: World) -> None:
    twilio = Picky()
    sender = world.sender(twilio=twilio, breaker=twilio.breaker, grace_seconds=0.05)
    stuck = await world.answered(ANA, "stuck")
    await send(sender, stuck)
    await send(sender, await world.append(RedriveRequested(event=stuck.event.id, group=SENDER, by="ana"), ANA))
    assert len(twilio.calls) == 2 * (1 + QUICK.max_attempts)


async def test_only_calls_in_a_row_that_came_to_nothing_count(world: World) -> None:
    parts = [str(number) for number in range(4)]
    world.twilio.script = [*[BROKEN] * 2, "taken"] * 4
    await send(world.sender(grace_seconds=0.02), await world.answered(ANA, *parts))
    assert world.twilio.bodies() == parts


async def test_while_everything_fails_nothing_is_given_up(world: World) -> None:
    breaker = Breaker(SENDER, pause_seconds=0.01)
    breaker.trip("everything fails")
    world.twilio.script = [BROKEN] * (QUICK.max_attempts + 2)
    await send(world.sender(breaker=breaker, grace_seconds=0.02), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello."]
