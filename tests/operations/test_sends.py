"""A send that nobody can tell about, settled by a person who has looked: it counts as sent, goes out again, or is left unsaid."""

import time

import pytest

from handlers.send import SENDER_EVENTS
from operations.connection import Connection
from operations.dead_letters import letters
from operations.errors import ActRefused
from operations.sends import unsettled
from operations.settling import drop, settle_as_sent, settle_as_unsent
from projections.state import PartStatus, ReplyStatus
from streams.envelope import decode
from streams.events import ConversationTaken, MessageSent, SendRejected, SendStarted, SendUnconfirmed
from streams.log import Appended
from streams.partitions import partition_of_subject
from tests.handlers.fake_twilio import BROKEN
from tests.handlers.test_send import send
from tests.handlers.world import PARTITIONS, World, Written, thread_of

ANA, BIA = thread_of(1), thread_of(2)
SID, OTHER = f"SM{'a' * 32}", f"SM{'b' * 32}"
SENT, OPEN, REJECTED, CANCELLED = PartStatus.SENT, PartStatus.OPEN, PartStatus.REJECTED, PartStatus.CANCELLED


async def in_doubt(world: World, *parts: str, thread: str = ANA, reply: str = "r1") -> Written:
    """A reply of whose first part nobody can tell."""
    written = await world.answered(thread, *(parts or ("Hello.",)), reply=reply)
    await world.append(SendStarted(reply=reply, part=0, attempt=f"{reply}-a"), thread)
    await world.append(SendUnconfirmed(reply=reply, part=0, attempt=f"{reply}-a"), thread)
    await world.state(thread)
    return written


async def statuses(world: World, reply: str = "r1") -> list[PartStatus]:
    return [part.status for part in (await world.reply(ANA, reply)).parts]


# ------------------------------------------------------------------------------------------------------------ seeing


async def test_what_is_unconfirmed_is_listed_with_when_its_attempt_began(world: World) -> None:
    await in_doubt(world, "one", "two")
    [found] = await unsettled(world.database)
    assert (found.reply, found.part, found.parts, found.status, found.attempt) == ("r1", 1, 2, "unconfirmed", "r1-a")
    assert found.started_at is not None
    assert abs(found.started_at.timestamp() - time.time()) < 60
    assert found.text == "one"


async def test_what_was_started_is_listed_once_it_was_long_ago(world: World) -> None:
    world.clock.ahead_ms = -120_000
    await world.answered(ANA, "old")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    world.clock.ahead_ms = 0
    await world.answered(BIA, "new", reply="r2")
    await world.append(SendStarted(reply="r2", part=0, attempt="a2"), BIA)
    await world.state(ANA), await world.state(BIA)
    assert [(send.reply, send.status) for send in await unsettled(world.database)] == [("r1", "started")]


async def test_what_was_rejected_is_listed_for_a_while_with_its_reason(world: World) -> None:
    await world.answered(ANA, "one", "two")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    await world.append(SendRejected(reply="r1", part=0, attempt="a1", code=63024), ANA)
    await world.state(ANA)
    assert [(send.part, send.error) for send in await unsettled(world.database)] == [(1, "send.rejected unknown 63024")]
    assert await unsettled(world.database, rejected_within_seconds=0) == []


async def test_what_a_person_must_settle_is_not_hidden_by_newer_replies(world: World) -> None:
    await in_doubt(world, "old")
    await world.answered(BIA, "queued", reply="r2")
    await world.answered(BIA, "failed", reply="r3")
    await world.append(SendStarted(reply="r3", part=0, attempt="a3"), BIA)
    await world.append(SendRejected(reply="r3", part=0, attempt="a3", code=63024), BIA)
    await world.state(BIA)
    assert [send.reply for send in await unsettled(world.database, limit=1)] == ["r1"]
    assert [send.reply for send in await unsettled(world.database, limit=2)] == ["r1", "r3"]


async def test_what_went_out_is_not_listed(world: World) -> None:
    await send(world.sender(), await world.answered(ANA, "Hello."))
    assert await unsettled(world.database) == []


# ---------------------------------------------------------------------------------------------------------- it was sent


async def test_what_a_person_found_at_twilio_counts_as_sent_and_the_rest_goes_out_at_once(
    world: World, connection: Connection
) -> None:
    await in_doubt(world, "one", "two")
    settled = await settle_as_sent(connection, "r1", part=None, sid=SID)
    assert (settled.status, settled.outcome) == ("sent", "it counts as sent; the sender goes on with 1 more")
    [sent] = await world.facts(ANA, "message.sent")
    assert sent == MessageSent(reply="r1", part=0, attempt="r1-a", sid=SID, status="sent")
    settling = await last_written(world)
    assert settling.event.data.name in SENDER_EVENTS
    await send(world.sender(), settling)
    assert world.twilio.bodies() == ["two"]
    assert await statuses(world) == [SENT, SENT]


async def last_written(world: World) -> Written:
    """The newest event of the thread, as the sender's group gets it."""
    partition = partition_of_subject(ANA, PARTITIONS)
    record = (await world.log.read({partition: 0}, limit=1000))[-1]
    return Written(decode(record.value), Appended(partition, record.position), record)


async def test_a_sid_that_is_another_message_is_refused(world: World, connection: Connection) -> None:
    await send(world.sender(), await world.answered(ANA, "sent before", reply="r0"))
    [taken] = world.twilio.taken
    await in_doubt(world, "Hello.")
    await world.write(ANA, sid=SID)
    await world.write(BIA, sid=OTHER)
    await world.state(BIA)
    for sid, told in ((SID, "inbound"), (OTHER, "on another thread"), (taken.sid, "part 1 of reply r0"), ("SM1", "32")):
        with pytest.raises(ActRefused, match=told):
            await settle_as_sent(connection, "r1", part=None, sid=sid)
    assert await statuses(world) == [PartStatus.UNCONFIRMED]


# --------------------------------------------------------------------------------------------------------- it was not


async def test_what_was_not_sent_is_sent_again(world: World, connection: Connection) -> None:
    await in_doubt(world, "one", "two")
    settled = await settle_as_unsent(connection, "r1", part=None)
    assert (settled.status, settled.outcome) == ("open", "the sender tries again")
    await send(world.sender(), await last_written(world))
    assert world.twilio.bodies() == ["one", "two"]


async def test_after_a_newer_reply_nothing_is_sent_again(world: World, connection: Connection) -> None:
    await in_doubt(world, "older")
    await send(world.sender(), await world.answered(ANA, "newer", reply="r2"))
    with pytest.raises(ActRefused, match="newer reply"):
        await settle_as_unsent(connection, "r1", part=None)
    assert await world.facts(ANA, "send.disproved") == []


async def test_after_the_window_has_closed_nothing_is_sent_again(world: World, connection: Connection) -> None:
    written = await in_doubt(world)
    world.clock.ahead_ms += 25 * 3_600_000
    await world.tick(written.at.partition)
    await world.state(ANA)
    with pytest.raises(ActRefused, match="24 hours"):
        await settle_as_unsent(connection, "r1", part=None)


async def test_what_somebody_took_over_meanwhile_is_withdrawn_and_the_person_is_told(
    world: World, connection: Connection
) -> None:
    await in_doubt(world)
    await world.append(ConversationTaken(by="bia"), ANA)
    settled = await settle_as_unsent(connection, "r1", part=None)
    assert "withdrawn" in settled.outcome
    assert (await world.reply(ANA)).status is ReplyStatus.WITHDRAWN


async def test_what_is_dropped_stays_unsaid_with_what_follows_it_and_leaves_no_open_dead_letter(
    world: World, connection: Connection
) -> None:
    await in_doubt(world, "one", "two")
    settled = await drop(connection, "r1", part=None, by="ana", reason="too late")
    assert (settled.status, settled.outcome) == ("rejected", "nothing more of this reply is sent")
    assert await statuses(world) == [REJECTED, CANCELLED]
    assert await letters(world.database) == []
    assert [letter.status for letter in await letters(world.database, status=None)] == ["discarded"]
    await send(world.sender(), await last_written(world))
    assert world.twilio.calls == []


# ---------------------------------------------------------------------------------------------------------- in doubt


async def test_only_what_is_in_doubt_can_be_settled(world: World, connection: Connection) -> None:
    await send(world.sender(), await world.answered(ANA, "Hello."))
    with pytest.raises(ActRefused, match="nothing of reply r1 is in doubt: part 1 is sent"):
        await settle_as_unsent(connection, "r1", part=None)
    with pytest.raises(ActRefused, match="has no part 2"):
        await settle_as_unsent(connection, "r1", part=2)
    with pytest.raises(ActRefused, match="no reply's id begins with r9"):
        await drop(connection, "r9", part=None, by="ana")


async def test_what_a_sender_holds_is_left_to_it_unless_it_was_seen_at_twilio(world: World, connection: Connection) -> None:
    await world.answered(ANA, "Hello.")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    await world.state(ANA)
    with pytest.raises(ActRefused, match="in the sender's hands"):
        await settle_as_unsent(connection, "r1", part=None)
    await settle_as_sent(connection, "r1", part=None, sid=SID)
    assert await statuses(world) == [SENT]


async def test_an_empty_id_means_no_reply_though_there_is_just_one(world: World, connection: Connection) -> None:
    await in_doubt(world, reply="r1")
    with pytest.raises(ActRefused, match="no reply is named: give its id"):
        await drop(connection, "", part=None, by="ana")


async def test_a_reply_is_named_by_how_its_id_begins_if_that_means_one(world: World, connection: Connection) -> None:
    await in_doubt(world, reply="r1")
    await in_doubt(world, reply="r12", thread=BIA)
    with pytest.raises(ActRefused, match="more than one"):
        await drop(connection, "r", part=None, by="ana")
    assert (await drop(connection, "r1", part=1, by="ana")).reply == "r1"


async def test_one_that_twilio_never_answered_for_is_in_doubt_where_absence_proves_nothing(
    world: World, connection: Connection
) -> None:
    world.twilio.script = [BROKEN]
    sender = world.sender(absence_is_proof=False)
    await send(sender, await world.answered(ANA, "Hello."))
    await settle_as_unsent(connection, "r1", part=1)
    await send(sender, await last_written(world))
    assert world.twilio.bodies() == ["Hello."]
