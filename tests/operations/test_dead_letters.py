"""Dead letters in a person's hands: seen, sent round again, discarded; and what came of it is told."""

import pytest

from handlers.attempts import Attempts
from operations import dead_letters as operation
from operations.connection import Connection
from operations.dead_letters import Letter, discard, history, letters, letters_to_redrive, redrive, redrive_each, the_letter
from operations.errors import ActRefused
from projections.changes import RESPONDER, SENDER
from streams.events import ConversationClosed, ConversationTaken, DeadLetterDiscarded, EventDeadLettered, RedriveRequested
from tests.handlers.test_send import send
from tests.handlers.world import Model, World, Written, thread_of

ANA, BIA = thread_of(1), thread_of(2)


async def given_up(world: World, written: Written, group: str = RESPONDER) -> Written:
    """The event is a dead letter, and that is folded."""
    letter = EventDeadLettered(event=written.event.id, group=group, attempts=3, error="ValueError", fingerprint="f")
    await world.append(letter, written.event.subject)
    await world.state(written.event.subject)
    return written


async def the_open(world: World) -> list[str]:
    return [letter.event for letter in await letters(world.database)]


# ------------------------------------------------------------------------------------------------------------ seeing


async def test_the_open_ones_are_listed_newest_first_and_all_on_request(world: World, connection: Connection) -> None:
    first = await given_up(world, await world.write(ANA))
    second = await given_up(world, await world.write(BIA))
    third = await given_up(world, await world.write(ANA))
    await discard(connection, await the_letter(world.database, second.event.id), by="ana")
    assert await the_open(world) == [third.event.id, first.event.id]
    everything = await letters(world.database, status=None)
    assert [(letter.event, letter.status) for letter in everything] == [
        (third.event.id, "open"),
        (second.event.id, "discarded"),
        (first.event.id, "open"),
    ]
    assert [letter.event for letter in await letters(world.database, group=SENDER)] == []


async def test_the_age_of_a_dead_letter_counts_by_the_clock_of_the_log(world: World) -> None:
    await given_up(world, await world.write(ANA))
    [letter] = await letters(world.database)
    assert 0 <= letter.age_seconds < 60
    assert (letter.thread, letter.error, letter.attempts) == (ANA, "ValueError", 3)


async def test_an_id_may_be_cut_short_as_long_as_it_means_one(world: World) -> None:
    first, second = [await given_up(world, await world.write(ANA)) for _ in range(2)]
    assert (await the_letter(world.database, first.event.id[:-1])).event == first.event.id
    with pytest.raises(ActRefused, match=f"{second.event.id} .*{first.event.id}"):
        await the_letter(world.database, first.event.id[:4])
    with pytest.raises(ActRefused, match="no dead letter's event id begins with 9Z"):
        await the_letter(world.database, "9Z")


async def test_an_empty_id_means_none_though_there_is_just_one(world: World) -> None:
    await given_up(world, await world.write(ANA))
    with pytest.raises(ActRefused, match="no dead letter is named: give its event's id"):
        await the_letter(world.database, "")


async def test_one_event_that_two_groups_gave_up_is_told_apart_by_the_group(world: World) -> None:
    written = await given_up(world, await world.answered(ANA, "Hello."), SENDER)
    await given_up(world, written)
    with pytest.raises(ActRefused, match="--group"):
        await the_letter(world.database, written.event.id)
    assert (await the_letter(world.database, written.event.id, group=SENDER)).group == SENDER


async def test_the_event_is_shown_as_it_stands_in_the_archive_with_what_happened_since(
    world: World, connection: Connection
) -> None:
    written = await given_up(world, await world.write(ANA, "where is my parcel?"))
    await given_up(world, await world.write(ANA, "another one"))
    await redrive(connection, await the_letter(world.database, written.event.id), by="bia")
    await send_answer(world, written)
    shown = await history(world.database, await the_letter(world.database, written.event.id))
    assert shown.event is not None
    assert shown.event.event["data"]["body"] == "where is my parcel?"
    assert [event.type for event in shown.since] == [
        "prosa.event.dead_lettered.v1",
        "prosa.redrive.requested.v1",
        "prosa.reply.generated.v1",
    ]


async def send_answer(world: World, written: Written) -> None:
    await world.responder(Model()).respond(written.delivered_to(RESPONDER))


# ------------------------------------------------------------------------------------------------------- round again


async def test_a_redriven_message_is_answered(world: World, connection: Connection) -> None:
    written = await given_up(world, await world.write(ANA))
    act = await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    assert (act.status, act.outcome) == ("redriven", "it waits for an answer again")
    [asked] = await world.facts(ANA, "redrive.requested")
    assert asked == RedriveRequested(event=written.event.id, group=RESPONDER, by="ana")
    await send_answer(world, written)
    [reply] = await world.replies(ANA)
    assert reply.status == "accepted"
    assert await the_open(world) == []


async def test_in_a_handoff_a_redriven_message_waits_for_the_person(world: World, connection: Connection) -> None:
    written = await given_up(world, await world.write(ANA))
    await world.append(ConversationTaken(by="bia"), ANA)
    act = await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    assert act.outcome == "it waits for an answer of the person who has the conversation"


async def test_a_redrive_on_a_finished_conversation_is_answered_in_a_linked_one(world: World, connection: Connection) -> None:
    written = await given_up(world, await world.write(ANA))
    await world.append(ConversationClosed(by="bia"), ANA)
    await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    await send_answer(world, written)
    state = await world.state(ANA)
    assert state.conversation is not None
    assert state.conversation.previous_conversation_id == written.event.id
    assert [reply.conversation_id for reply in state.replies] == [state.conversation.id]


async def test_a_redriven_reply_is_sent(world: World, connection: Connection) -> None:
    written = await given_up(world, await world.answered(ANA, "Hello."), SENDER)
    act = await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    assert (act.status, act.outcome) == ("redriven", "it is to be sent again")
    await send(world.sender(), written)
    assert world.twilio.bodies() == ["Hello."]


async def test_of_a_redriven_message_that_whatsapp_would_let_nobody_answer_it_is_told_what_it_becomes(
    world: World, connection: Connection
) -> None:
    written = await given_up(world, await world.write(ANA))
    await a_day_later(world, written)
    act = await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    assert (act.status, "becomes a dead letter again" in act.outcome, "24 hours" in act.outcome) == ("open", True, True)
    await send_answer(world, written)
    await world.state(ANA)
    assert (await the_letter(world.database, written.event.id)).status == "open"
    assert not await world.replies(ANA)


async def test_of_a_redriven_reply_that_whatsapp_would_not_deliver_it_is_told_what_it_becomes(
    world: World, connection: Connection
) -> None:
    written = await given_up(world, await world.answered(ANA, "Hello."), SENDER)
    await a_day_later(world, written)
    act = await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    assert (act.status, "becomes a dead letter again" in act.outcome) == ("open", True)
    await send(world.sender(), written)
    await world.state(ANA)
    assert (await the_letter(world.database, written.event.id)).status == "open"
    assert world.twilio.bodies() == []


async def a_day_later(world: World, written: Written) -> None:
    """WhatsApp's window is closed."""
    world.clock.ahead_ms += 24 * 3_600_000
    await world.tick(written.at.partition)


async def test_a_redrive_that_comes_after_a_newer_reply_is_refused_and_says_so(world: World, connection: Connection) -> None:
    older = await given_up(world, await world.answered(ANA, "older"), SENDER)
    await send(world.sender(), await world.answered(ANA, "newer", reply="r2"))
    act = await redrive(connection, await the_letter(world.database, older.event.id), by="ana")
    assert act.status == "refused"
    assert "newer reply" in act.outcome
    assert world.twilio.bodies() == ["newer"]


async def test_what_is_not_open_is_refused_and_nothing_is_written(world: World, connection: Connection) -> None:
    written = await given_up(world, await world.write(ANA))
    letter = await the_letter(world.database, written.event.id)
    await redrive(connection, letter, by="ana")
    for stale in (letter, await the_letter(world.database, written.event.id)):
        for act in (redrive, discard):
            with pytest.raises(ActRefused, match=r"not open: it is redriven|open no more"):
                await act(connection, stale, by="ana")
    assert len(await world.facts(ANA, "redrive.requested", "dead_letter.discarded")) == 1


async def test_all_that_are_open_are_redriven_the_oldest_first(world: World, connection: Connection) -> None:
    """So that of two replies on one thread both go out, in their order."""
    older = await given_up(world, await world.answered(ANA, "older"), SENDER)
    newer = await given_up(world, await world.answered(ANA, "newer", reply="r2"), SENDER)
    message = await given_up(world, await world.write(BIA))
    found = await letters(world.database)
    await discard(connection, await the_letter(world.database, message.event.id), by="bia")
    acts = await redrive_each(connection, found, by="ana")
    assert [(act.letter.event, act.status) for act in acts] == [
        (older.event.id, "redriven"),
        (newer.event.id, "redriven"),
    ]
    await send(world.sender(), older)
    assert world.twilio.bodies() == ["older", "newer"]


async def test_of_more_than_one_command_redrives_the_oldest_come_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "MOST_AT_ONCE", 2)
    written = [await given_up(world, await world.write(ANA)) for _ in range(3)]
    found = await letters_to_redrive(world.database)
    assert [letter.event for letter in found] == [each.event.id for each in written[:2]]
    assert [letter.event for letter in await letters_to_redrive(world.database, group=SENDER)] == []


async def test_a_redrive_whose_handler_fails_again_has_all_its_tries(world: World, connection: Connection) -> None:
    tries = 0

    async def fail(_: object) -> None:
        nonlocal tries
        tries += 1
        raise ValueError

    attempts: Attempts = world.attempts(fail)
    written = await world.write(ANA)
    await attempts.run(written.delivered_to(RESPONDER))
    assert tries == 3
    await redrive(connection, await the_letter(world.database, written.event.id), by="ana")
    await attempts.run(written.delivered_to(RESPONDER))
    assert tries == 6
    assert await the_open(world) == [written.event.id]


# ----------------------------------------------------------------------------------------------------------- nothing


async def test_a_discarded_dead_letter_keeps_who_and_why_in_the_log(world: World, connection: Connection) -> None:
    written = await given_up(world, await world.write(ANA))
    letter: Letter = await the_letter(world.database, written.event.id)
    act = await discard(connection, letter, by="ana", reason="by telephone")
    assert (act.status, act.outcome) == ("discarded", "nothing will be done about it")
    assert await world.facts(ANA, "dead_letter.discarded") == [
        DeadLetterDiscarded(event=written.event.id, group=RESPONDER, by="ana", reason="by telephone")
    ]
    assert (await world.state(ANA)).unanswered == ()
    assert await the_open(world) == []
