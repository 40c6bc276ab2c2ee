"""What came of a call that nobody saw the end of: looked for, and only then sent again."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.breaker import Breaker
from handlers.send import Sender
from handlers.settle import REFUSALS
from handlers.twilio_answers import ListedMessage, TwilioDenied, TwilioForbidden, TwilioRefused
from projections.changes import SENDER
from projections.state import PartStatus, ReplyStatus
from streams.events import ClockAdvanced, ConversationTaken, MessageSent, SendDisproved, SendStarted, SendUnconfirmed
from streams.partitions import partition_subject
from tests.handlers.fake_twilio import BROKEN, LOST, TOO_MANY, UNAVAILABLE, FakeTwilio
from tests.handlers.test_send import send
from tests.handlers.world import World, Written, eventually, thread_of

ANA = thread_of(1)


async def attempts(world: World) -> list[tuple[str, str | None]]:
    """Of the first part, with what came of each."""
    part = (await world.reply(ANA)).parts[0]
    return [(attempt.id, attempt.outcome.value if attempt.outcome else None) for attempt in part.attempts]


async def abandoned(world: World, *parts: str) -> Written:
    """A reply whose first part somebody started, and never spoke of again."""
    written = await world.answered(ANA, *(parts or ("Hello.",)))
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    return written


def listed(sid: str, body: str, *, ago_seconds: float = 0.0, direction: str = "outbound-api") -> ListedMessage:
    return ListedMessage(sid, body, int((time.time() - ago_seconds) * 1000), "sent", direction, None)


# ----------------------------------------------------------------------------------------------------------- proof


async def test_a_message_that_was_taken_though_nobody_heard_is_found_and_not_sent_again(world: World) -> None:
    world.twilio.script = [LOST]
    await send(world.sender(), await world.answered(ANA, "one", "two"))
    assert world.twilio.bodies() == ["one", "two"]
    (row,) = await world.rows("SELECT sid, status FROM messages WHERE body = 'one'")
    assert row == {"sid": world.twilio.taken[0].sid, "status": "sent"}


async def test_a_message_that_is_listed_late_is_waited_for(world: World) -> None:
    world.twilio.script, world.twilio.listing_delay_seconds = [LOST], 0.25
    await send(world.sender(grace_seconds=0.6), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello."]


async def test_a_message_that_was_not_taken_is_sent_once_its_absence_is_proven(world: World) -> None:
    world.twilio.script = [BROKEN]
    sending = asyncio.create_task(send(world.sender(grace_seconds=60.0), await world.answered(ANA, "Hello.")))
    await eventually(lambda: world.twilio.listings >= 3)
    assert len(world.twilio.calls) == 1
    world.clock.pass_on(60_001)
    await sending
    assert world.twilio.bodies() == ["Hello."]
    assert [outcome for _, outcome in await attempts(world)] == ["disproved", "sent"]


async def test_where_absence_proves_nothing_a_person_decides(world: World) -> None:
    world.twilio.script = [BROKEN]
    sender = world.sender(absence_is_proof=False)
    await send(sender, await world.answered(ANA, "Hello."))
    assert (await world.reply(ANA)).status is ReplyStatus.UNCONFIRMED
    assert world.twilio.bodies() == []
    (attempt,) = world.twilio.calls
    await send(sender, await world.append(SendDisproved(reply="r1", part=0, attempt=attempt), ANA))
    assert world.twilio.bodies() == ["Hello."]


async def test_who_wakes_up_when_its_send_was_told_unconfirmed_takes_nothing_back(world: World) -> None:
    """It had not called yet. Meanwhile a newer reply went out, so that what it opened again could only be refused as too late."""
    journal, may_wake_up = world.journal(), asyncio.Event()
    record = journal.record

    async def asleep(data: Any, **place: Any) -> Any:
        view = await record(data, **place)
        if data.name == "send.started":
            await may_wake_up.wait()
        return view

    journal.record = asleep  # type: ignore[method-assign]
    written, successor = await world.answered(ANA, "Hello."), world.sender(absence_is_proof=False)
    sleeper = asyncio.create_task(send(world.sender(journal=journal, lease_seconds=0.0), written))
    await eventually(lambda: world.facts(ANA, "send.started"))
    await send(successor, written)
    await send(successor, await world.answered(ANA, "Newer.", reply="r2"))
    may_wake_up.set()
    await asyncio.wait_for(sleeper, 30)
    assert await world.facts(ANA, "send.cancelled")
    assert (await world.reply(ANA)).status is ReplyStatus.UNCONFIRMED
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    assert world.twilio.bodies() == ["Newer."]


async def test_a_late_callback_settles_what_was_left_to_a_person(world: World) -> None:
    world.twilio.script = [BROKEN]
    sender = world.sender(absence_is_proof=False)
    written = await world.answered(ANA, "Hello.")
    await send(sender, written)
    await world.status(ANA, "SM9", "delivered", attempt=world.twilio.calls[0])
    world.clock.ahead_ms += 60_001
    await send(sender, await world.tick(written.at.partition))
    assert (await world.reply(ANA)).status is ReplyStatus.SENT


async def test_a_callback_ends_the_search(world: World) -> None:
    written = await abandoned(world)
    settling = asyncio.create_task(send(world.sender(grace_seconds=60.0), written))
    await eventually(lambda: world.twilio.listings)
    await world.status(ANA, "SM7", "sent", attempt="a1")
    await asyncio.wait_for(settling, 30)
    assert world.twilio.calls == []
    assert await attempts(world) == [("a1", "sent")]


async def test_what_another_owner_records_ends_the_search(world: World) -> None:
    written = await abandoned(world)
    settling = asyncio.create_task(send(world.sender(grace_seconds=60.0), written))
    await eventually(lambda: world.twilio.listings)
    await world.append(MessageSent(reply="r1", part=0, attempt="a1", sid="SM7"), ANA)
    await asyncio.wait_for(settling, 30)
    assert world.twilio.calls == []


async def test_a_callback_that_comes_after_the_disproof_still_keeps_it_from_being_sent_again(world: World) -> None:
    written = await abandoned(world)
    await world.append(SendDisproved(reply="r1", part=0, attempt="a1"), ANA)
    await world.status(ANA, "SM7", "sent", attempt="a1")
    await send(world.sender(), written)
    assert world.twilio.calls == []
    assert (await world.reply(ANA)).status is ReplyStatus.SENT


async def test_a_callback_between_the_last_look_and_the_disproof_still_keeps_it_from_being_sent_again(world: World) -> None:
    written = await abandoned(world)
    journal = world.journal()
    record = journal.record

    async def told_just_before(data: Any, **place: Any) -> Any:
        if data.name == "send.disproved":
            await world.status(ANA, "SM7", "sent", attempt="a1")
        return await record(data, **place)

    journal.record = told_just_before  # type: ignore[method-assign]
    await send(world.sender(journal=journal, grace_seconds=0.05), written)
    assert world.twilio.calls == []
    assert (await world.reply(ANA)).status is ReplyStatus.SENT


async def test_a_callback_between_the_disproof_and_the_next_start_still_keeps_it_from_being_sent_again(world: World) -> None:
    """The start is in the log, and granted to nobody."""
    written = await abandoned(world)
    await world.append(SendDisproved(reply="r1", part=0, attempt="a1"), ANA)
    journal = world.journal()
    record = journal.record

    async def told_just_before(data: Any, **place: Any) -> Any:
        if data.name == "send.started":
            await world.status(ANA, "SM7", "sent", attempt="a1")
        return await record(data, **place)

    journal.record = told_just_before  # type: ignore[method-assign]
    await send(world.sender(journal=journal), written)
    assert world.twilio.calls == []
    assert (await world.reply(ANA)).status is ReplyStatus.SENT
    assert await attempts(world) == [("a1", "sent")]


# ------------------------------------------------------------------------------------------------------ what is none


async def test_an_equal_body_that_was_sent_before_is_no_proof(world: World) -> None:
    sender = world.sender()
    await send(sender, await world.answered(ANA, "Ok"))
    world.twilio.script = [BROKEN]
    await send(sender, await world.answered(ANA, "Ok", reply="r2"))
    assert world.twilio.bodies() == ["Ok", "Ok"]
    assert [part.status for reply in await world.replies(ANA) for part in reply.parts] == [PartStatus.SENT] * 2


async def test_an_equal_body_of_another_attempt_is_no_proof(world: World) -> None:
    """A callback told of it, and of an attempt that nobody remembers."""
    await world.status(ANA, "SMother", "sent", attempt="forgotten")
    world.twilio.script, world.twilio.others = [BROKEN], [listed("SMother", "Ok")]
    await send(world.sender(), await world.answered(ANA, "Ok"))
    assert world.twilio.bodies() == ["Ok"]
    assert len(world.twilio.calls) == 2


async def in_doubt_twice(world: World, sender: Sender, *listed_late: str) -> None:
    """Nobody can tell about a reply; then messages with its words are listed, and a reply with the same words is cut off."""
    world.twilio.script = [BROKEN]
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), (await world.answered(ANA, "Ok")).event.subject)
    await world.append(SendUnconfirmed(reply="r1", part=0, attempt="a1"), ANA)
    world.twilio.others = [listed(sid, "Ok", ago_seconds=60 - number) for number, sid in enumerate(listed_late)]
    await send(sender, await world.answered(ANA, "Ok", reply="r2"))


@pytest.mark.parametrize("absence_is_proof", [True, False])
async def test_a_listed_message_that_may_be_either_of_two_proves_neither(world: World, absence_is_proof: bool) -> None:
    """Taken for the second, that might never have gone out; sent again, it might come twice. So a person decides on both."""
    await in_doubt_twice(world, world.sender(absence_is_proof=absence_is_proof), "SMlate")
    assert [reply.status for reply in await world.replies(ANA)] == [ReplyStatus.UNCONFIRMED] * 2
    assert len(world.twilio.calls) == 1


async def test_where_as_many_are_listed_as_are_in_doubt_each_has_its_own(world: World) -> None:
    await in_doubt_twice(world, world.sender(), "SMlate", "SMlater")
    assert [reply.status for reply in await world.replies(ANA)] == [ReplyStatus.UNCONFIRMED, ReplyStatus.SENT]
    (row,) = await world.rows("SELECT sid FROM messages WHERE reply_id = 'r2'")
    assert row == {"sid": "SMlater"}


async def test_where_none_is_listed_a_rival_in_doubt_changes_nothing(world: World) -> None:
    await in_doubt_twice(world, world.sender())
    assert (await world.reply(ANA, "r2")).status is ReplyStatus.SENT
    assert world.twilio.bodies() == ["Ok"]


async def test_a_callback_settles_one_of_two_and_says_nothing_of_the_other(world: World) -> None:
    sender = world.sender()
    await in_doubt_twice(world, sender, "SMlate")
    told = await world.status(ANA, "SMlate", "failed", attempt="a1", code=63003)
    await send(sender, told)
    (row,) = await world.rows("SELECT reply_id FROM messages WHERE sid = 'SMlate'")
    assert row == {"reply_id": "r1"}
    assert (await world.reply(ANA, "r1")).status is ReplyStatus.FAILED
    assert (await world.reply(ANA, "r2")).status is ReplyStatus.UNCONFIRMED


@pytest.mark.parametrize(
    "other",
    [
        listed("SM8", "Hello.", direction="inbound"),
        listed("SM8", "Something else."),
        listed("SM8", "Hello.", ago_seconds=400),
    ],
)
async def test_what_the_contact_wrote_or_says_something_else_or_is_too_old_is_no_proof(
    world: World, other: ListedMessage
) -> None:
    world.twilio.script, world.twilio.others = [BROKEN], [other]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert world.twilio.bodies() == ["Hello."]
    assert len(world.twilio.calls) == 2


async def test_a_clock_that_is_some_minutes_apart_hides_no_proof(world: World) -> None:
    world.twilio.script, world.twilio.others = [BROKEN], [listed("SM8", " Hello.\r\n", ago_seconds=290)]
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert len(world.twilio.calls) == 1
    assert (await world.reply(ANA)).status is ReplyStatus.SENT


async def test_a_listing_that_fails_proves_no_absence(world: World) -> None:
    written = await abandoned(world)
    world.twilio.listing_faults = [UNAVAILABLE] * 8
    await send(world.sender(grace_seconds=0.01), written)
    assert world.twilio.listings == 9
    assert world.twilio.bodies() == ["Hello."]


async def test_a_listing_begun_within_the_grace_period_proves_no_absence(world: World) -> None:
    """It was asked before, and is answered after; the message may have been listed in between."""
    written = await abandoned(world)

    class Slow(FakeTwilio):
        async def list_messages(self, **query: Any) -> Any:
            found = await super().list_messages(**query)
            if self.listings == 1:
                world.clock.pass_on(60_001)
            return found

    twilio = Slow()
    await send(world.sender(twilio=twilio, grace_seconds=60.0), written)
    assert twilio.listings == 2
    assert twilio.bodies() == ["Hello."]


@pytest.mark.parametrize("absence_is_proof", [True, False])
@pytest.mark.parametrize(
    ("refusal", "setting"),
    [
        (TwilioDenied("read: status 401, code 20003"), "TWILIO_AUTH_TOKEN"),
        (TwilioForbidden("read: status 403, code 20403"), "TWILIO_ACCOUNT_SID"),
        (TwilioForbidden("list: status 404"), "TWILIO_API_URL"),
    ],
    ids=["401", "403", "404"],
)
async def test_what_an_operator_must_mend_pauses_the_group_and_is_waited_for(
    world: World, refusal: Exception, setting: str, absence_is_proof: bool
) -> None:
    """It says nothing about the one attempt, which is settled as ever afterwards."""
    twilio = FakeTwilio(script=[LOST], listing_faults=[refusal] * 1000)
    breaker = Breaker(SENDER, pause_seconds=0.02)
    sender = world.sender(twilio=twilio, breaker=breaker, grace_seconds=0.01, absence_is_proof=absence_is_proof)
    with capture_logs() as lines:
        sending = asyncio.create_task(send(sender, await world.answered(ANA, "Hello.", "World.")))
        await eventually(lambda: twilio.listings >= 2 * REFUSALS)
        assert breaker.is_open
        assert setting in breaker.reason
        assert [outcome for _, outcome in await attempts(world)] == [None]
        twilio.listing_faults.clear()
        await asyncio.wait_for(sending, 30)
    assert twilio.bodies() == ["Hello.", "World."]
    told = [line["event"] for line in lines if line["event"].startswith(("group", "outage"))]
    assert told == ["group.paused", "outage.begun", "outage.ended", "group.resumed"]


async def test_where_listing_alone_is_forbidden_others_are_sent_to_all_the_same(world: World) -> None:
    written, other = await abandoned(world), thread_of(2)
    world.twilio.listing_faults = [TwilioForbidden("read: status 403, code 20403")] * 1000
    breaker = Breaker(SENDER, pause_seconds=0.02)
    sender = world.sender(breaker=breaker, grace_seconds=0.01)
    settling = asyncio.create_task(send(sender, written))
    await eventually(lambda: breaker.is_open)
    await asyncio.wait_for(send(sender, await world.answered(other, "Hi.", reply="r2")), 30)
    listed = world.twilio.listings
    await eventually(lambda: world.twilio.listings >= listed + 2)
    assert not breaker.is_open
    assert world.twilio.bodies() == ["Hi."]
    world.twilio.listing_faults.clear()
    await asyncio.wait_for(settling, 30)
    assert world.twilio.bodies() == ["Hi.", "Hello."]


@pytest.mark.parametrize("absence_is_proof", [True, False])
async def test_an_attempt_that_twilio_never_lists_for_is_left_to_a_person(world: World, absence_is_proof: bool) -> None:
    """A refusal proves no absence; and who waited for more would wait for ever."""
    written = await abandoned(world)
    world.twilio.listing_faults = [TwilioRefused("read: status 400, code 20001")] * 1000
    breaker = Breaker(SENDER, pause_seconds=0.02)
    sender = world.sender(breaker=breaker, grace_seconds=60.0, absence_is_proof=absence_is_proof)
    settling = asyncio.create_task(send(sender, written))
    await eventually(lambda: world.twilio.listings > REFUSALS)
    assert await attempts(world) == [("a1", None)], "a callback may still tell"
    with capture_logs() as lines:
        world.clock.pass_on(60_001)
        await asyncio.wait_for(settling, 30)
    assert (await world.reply(ANA)).status is ReplyStatus.UNCONFIRMED
    assert world.twilio.calls == []
    assert not breaker.is_open
    assert "send.not_found" in [line["event"] for line in lines]


async def test_a_listing_that_is_refused_now_and_then_is_asked_for_again(world: World) -> None:
    world.twilio.script = [LOST]
    world.twilio.listing_faults = [TwilioRefused("read: status 400, code 20001")] * (REFUSALS - 1)
    await send(world.sender(grace_seconds=0.01), await world.answered(ANA, "Hello."))
    assert (await world.reply(ANA)).status is ReplyStatus.SENT
    assert world.twilio.bodies() == ["Hello."]


# ---------------------------------------------------------------------------------------------------------- the grace


async def test_the_development_clock_does_not_shorten_the_grace(world: World) -> None:
    written = await abandoned(world)
    await world.append(ClockAdvanced(offset_ms=3_600_000), partition_subject(written.at.partition))
    settling = asyncio.create_task(send(world.sender(grace_seconds=60.0), written))
    await eventually(lambda: world.twilio.listings >= 3)
    assert await attempts(world) == [("a1", None)]
    world.clock.pass_on(60_001)
    await settling
    assert world.twilio.bodies() == ["Hello."]


@pytest.mark.parametrize("when", ["before anybody looked", "while somebody looks"])
async def test_a_logs_clock_that_is_set_forward_does_not_shorten_the_grace(world: World, when: str) -> None:
    """By an hour: every attempt is old at once, and Twilio may be about to list it."""
    written = await abandoned(world)
    if when == "before anybody looked":
        world.clock.ahead_ms += 3_600_000
    settling = asyncio.create_task(send(world.sender(grace_seconds=60.0), written))
    await eventually(lambda: world.twilio.listings >= 2)
    world.clock.ahead_ms += 3_600_000
    seen = world.twilio.listings
    await eventually(lambda: world.twilio.listings >= seen + 3)
    assert await attempts(world) == [("a1", None)]
    world.clock.pass_on(60_001)
    await settling
    assert [outcome for _, outcome in await attempts(world)] == ["disproved", "sent"]


async def test_a_logs_clock_that_is_set_back_only_makes_the_grace_longer(world: World) -> None:
    written = await abandoned(world)
    world.clock.ahead_ms -= 30_000
    settling = asyncio.create_task(send(world.sender(grace_seconds=60.0), written))
    await eventually(lambda: world.twilio.listings)
    world.clock.pass_on(60_001)
    seen = world.twilio.listings
    await eventually(lambda: world.twilio.listings >= seen + 3)
    assert await attempts(world) == [("a1", None)]
    world.clock.pass_on(30_001)
    await settling
    assert world.twilio.bodies() == ["Hello."]


async def test_who_takes_up_a_search_again_does_not_begin_to_wait_anew(world: World) -> None:
    """It was cut off in between, and has looked since all the same."""
    written = await abandoned(world)
    sender = world.sender(grace_seconds=60.0)
    settling = asyncio.create_task(send(sender, written))
    await eventually(lambda: world.twilio.listings)
    settling.cancel()
    await asyncio.wait([settling])
    world.clock.pass_on(60_001)
    await asyncio.wait_for(send(sender, written), 30)
    assert world.twilio.bodies() == ["Hello."]


async def test_searches_that_were_broken_off_are_not_remembered_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker settled them. The one that is going on is not touched by it."""
    monkeypatch.setattr("handlers.settle.SEARCHES_KEPT", 2)
    sender, written = world.sender(grace_seconds=60.0), await abandoned(world)
    settling = asyncio.create_task(send(sender, written))
    await eventually(lambda: world.twilio.listings)
    for attempt in ("b1", "b2", "b3"):
        sender._settler._looking_for(attempt)
    assert list(sender._settler._looking_since) == ["b2", "b3"]
    world.clock.pass_on(60_001)
    await settling
    assert world.twilio.bodies() == ["Hello."]


async def test_a_pause_before_the_call_does_not_shorten_the_grace(world: World) -> None:
    """Told to come back in a minute; then nobody heard the answer, and the message is listed late: it is found all the same."""

    class Busy(FakeTwilio):
        async def create_message(self, **form: Any) -> Any:
            result = await super().create_message(**form)
            if result is TOO_MANY:
                world.clock.ahead_ms += 61_000
            return result

    twilio = Busy(script=[TOO_MANY, LOST], listing_delay_seconds=0.3)
    await send(world.sender(twilio=twilio, grace_seconds=60.0), await world.answered(ANA, "Hello."))
    assert twilio.bodies() == ["Hello."]
    assert len(twilio.calls) == 2


async def test_a_person_who_takes_over_leaves_the_open_part_to_be_settled_and_the_rest_unsaid(world: World) -> None:
    world.twilio.script = [LOST]
    written = await world.answered(ANA, "one", "two")
    world.twilio.listing_delay_seconds = 0.2
    sending = asyncio.create_task(send(world.sender(grace_seconds=1.0), written))
    await eventually(lambda: world.twilio.listings)
    await world.append(ConversationTaken(by="ana"), ANA)
    await sending
    assert world.twilio.bodies() == ["one"]
    assert [part.status for part in (await world.reply(ANA)).parts] == [PartStatus.SENT, PartStatus.CANCELLED]


# ------------------------------------------------------------------------------------------- while nothing is listed


async def test_while_twilio_lists_nothing_one_asks_for_all_with_growing_pauses_and_it_is_told_once(world: World) -> None:
    """Twenty in doubt, each with a pause of its own, would otherwise ask twenty times as often."""
    threads = [thread_of(number) for number in range(20)]
    written = []
    for number, thread in enumerate(threads):
        written.append(await world.answered(thread, "Hello.", reply=f"r{number}"))
        await world.append(SendStarted(reply=f"r{number}", part=0, attempt=f"a{number}"), thread)
    asked_at = list[float]()

    class Silent(FakeTwilio):
        is_away = True

        async def list_messages(self, **query: Any) -> Any:
            if self.is_away:
                asked_at.append(time.monotonic())
                raise UNAVAILABLE
            return await super().list_messages(**query)

    twilio = Silent()
    sender = world.sender(twilio=twilio, grace_seconds=0.01)
    with capture_logs() as lines:
        settling = [asyncio.create_task(send(sender, each)) for each in written]
        await eventually(lambda: len(asked_at) >= 20 + 12)
        twilio.is_away = False
        await asyncio.gather(*settling)
    pauses = [later - earlier for earlier, later in pairwise(asked_at[-8:])]
    assert min(pauses) >= 0.05 * 3 / 2 * 0.9, "the longest pause of an outage, less its jitter"
    assert len(twilio.taken) == 20
    told = [line["event"] for line in lines if line.get("what") == "cannot list messages"]
    assert told == ["outage.begun", "outage.ended"]


async def test_a_listing_that_is_refused_for_one_contact_holds_up_no_other(world: World) -> None:
    written, other = await abandoned(world), thread_of(2)

    class Picky(FakeTwilio):
        async def list_messages(self, *, to: str, **query: Any) -> Any:
            if to in ANA:
                self.listings += 1
                raise TwilioRefused("read: status 400, code 20001")
            return await super().list_messages(to=to, **query)

    twilio = Picky(script=[LOST])
    sender = world.sender(twilio=twilio, grace_seconds=60.0)
    stuck = asyncio.create_task(send(sender, written))
    await eventually(lambda: twilio.listings >= 2)
    await asyncio.wait_for(send(sender, await world.answered(other, "Hi.", reply="r2")), 30)
    assert twilio.bodies() == ["Hi."]
    await world.status(ANA, "SM7", "sent", attempt="a1")
    await asyncio.wait_for(stuck, 30)


async def test_a_callback_ends_the_search_though_twilio_lists_nothing(world: World) -> None:
    written = await abandoned(world)
    world.twilio.listing_faults = [UNAVAILABLE] * 1000
    settling = asyncio.create_task(send(world.sender(grace_seconds=60.0), written))
    await eventually(lambda: world.twilio.listings >= 3)
    await world.status(ANA, "SM7", "sent", attempt="a1")
    await asyncio.wait_for(settling, 30)
    assert world.twilio.calls == []
