"""What a person is shown of conversations: from Postgres alone."""

from datetime import timedelta

import pytest

from commands.conversation_view import lines_of
from operations.clock import advance
from operations.connection import Connection
from operations.conversations import Listed, listed, named, shown
from operations.errors import ActRefused
from projections.lateness import RECONCILER
from projections.state import Status
from streams.envelope import new_event
from streams.events import (
    ConversationClosed,
    ConversationTaken,
    EventDeadLettered,
    MessageReceived,
    MessageSent,
    PersonReplied,
    SendStarted,
)
from streams.partitions import thread_of as thread_between
from tests.handlers.world import World, thread_of

OURS, OTHER_NUMBER = "whatsapp:+14155238886", "whatsapp:+14155238887"
ANA = "whatsapp:+5511900000001"
THREADS = [thread_of(number) for number in range(4)]


async def written(world: World, *threads: str) -> list[str]:
    """A message on each thread, in this order, once it is folded; the ids of the conversations."""
    ids = []
    for thread in threads:
        world.clock.ahead_ms += 1_000
        ids.append((await world.write(thread)).event.id)
        await world.state(thread)
    return ids


async def ids(connection: Connection, **asked: object) -> list[str]:
    return [each.id for each in await listed(connection, **asked)]  # type: ignore[arg-type]


async def test_the_latest_activity_comes_first_page_by_page(world: World, connection: Connection) -> None:
    first, second, third = await written(world, *THREADS[:3])
    assert await ids(connection) == [third, second, first]
    assert await ids(connection, limit=2) == [third, second]
    assert await ids(connection, limit=2, offset=2) == [first]


async def test_a_list_can_be_of_some_statuses_and_of_one_owner(world: World, connection: Connection) -> None:
    first, second = await written(world, *THREADS[:2])
    await world.append(ConversationTaken(by="ana"), THREADS[0])
    await world.state(THREADS[0])
    assert await ids(connection, statuses=[Status.HANDOFF]) == [first]
    assert await ids(connection, statuses=[Status.PENDING, Status.IDLE]) == [second]
    assert await ids(connection, owner="nobody") == []
    assert len(await ids(connection, owner="default")) == 2


async def test_what_waits_is_counted_with_its_age(world: World, connection: Connection) -> None:
    world.clock.ahead_ms = -3_600_000
    await written(world, THREADS[0], THREADS[0], THREADS[0])
    [found] = await listed(connection)
    assert found.unanswered == 3
    assert found.unanswered_since == found.opened_at
    assert found.log_time > found.last_activity_at > found.opened_at
    assert found.log_time - found.opened_at > timedelta(minutes=59)


async def test_an_ended_conversation_has_nothing_waiting_though_its_thread_has(world: World, connection: Connection) -> None:
    await written(world, THREADS[0])
    await world.append(ConversationClosed(by="ana"), THREADS[0])
    await written(world, THREADS[0])
    newest, oldest = await listed(connection)
    assert (newest.unanswered, oldest.unanswered) == (1, 0)
    assert newest.previous_conversation_id == oldest.id


async def test_a_conversation_is_known_by_the_beginning_of_its_id_in_any_case(world: World, connection: Connection) -> None:
    [expected] = await written(world, THREADS[0])
    for name in (expected, expected[:20], expected.lower()[:22]):
        assert (await named(connection, name)).id == expected


async def test_a_contact_and_a_thread_mean_their_newest_conversation(world: World, connection: Connection) -> None:
    thread = thread_between(OURS, ANA)
    await written(world, thread)
    await world.append(ConversationClosed(by="ana"), thread)
    [newest] = await written(world, thread)
    for name in (ANA, ANA.removeprefix("whatsapp:"), thread):
        assert (await named(connection, name)).id == newest


async def test_a_name_that_may_mean_several_lists_them(world: World, connection: Connection) -> None:
    found = await written(world, thread_between(OURS, ANA), thread_between(OTHER_NUMBER, ANA))
    for name in (ANA, found[0][:3]):
        with pytest.raises(ActRefused) as refused:
            await named(connection, name)
        assert all(each in str(refused.value) for each in found)


@pytest.mark.parametrize("name", ["", " "])
async def test_an_empty_name_means_nobody_though_there_is_just_one(world: World, connection: Connection, name: str) -> None:
    await written(world, thread_between(OURS, ANA))
    with pytest.raises(ActRefused, match="no conversation is named: give its id"):
        await named(connection, name)


async def test_a_name_that_means_nothing_says_what_names_there_are(world: World, connection: Connection) -> None:
    for name in ("%", "_", "whatsapp:+1", "nonsense"):
        with pytest.raises(ActRefused, match="no conversation is named so"):
            await named(connection, name)


async def conversation(connection: Connection) -> Listed:
    [found] = await listed(connection)
    return found


async def test_everything_that_was_said_is_shown_with_who_said_it_and_how_far_it_came(
    world: World, connection: Connection
) -> None:
    thread = THREADS[0]
    await world.answered(thread, "Hello.", "More.")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), thread)
    await world.append(MessageSent(reply="r1", part=0, attempt="a1", sid="SO1"), thread)
    await world.status(thread, "SO1", "read", attempt="a1")
    await world.append(PersonReplied(reply="r2", parts=("I am Ana.",), by="ana"), thread)
    await world.state(thread)
    found = await shown(connection, await conversation(connection))
    assert {(each.author, each.text, each.status) for each in found.said} == {
        ("contact", "Olá", "received"),
        ("AI", "Hello.", "read"),
        ("AI", "More.", "to be sent"),
        ("ana", "I am Ana.", "to be sent"),
    }
    assert found.said[0].author == "contact"
    assert found.window_closes_at is not None
    assert [step.name for step in found.steps][-1] == "person.replied"


async def fetched(world: World, late: timedelta) -> None:
    """The contact wrote that long ago, and the reconciler heard of it now."""
    data = MessageReceived(sid=f"SM{late.seconds:032x}", kind="text", body="Oi", form={"Body": ("Oi",)})
    event = new_event(data, subject=THREADS[0], source=RECONCILER)
    await world.log.append(event.model_copy(update={"time": event.time - late}))
    await world.state(THREADS[0])


async def test_a_message_that_was_fetched_late_tells_also_when_it_was_written(world: World, connection: Connection) -> None:
    await written(world, THREADS[0])
    await fetched(world, timedelta(seconds=1))
    await fetched(world, timedelta(minutes=3))
    found = await shown(connection, await conversation(connection))
    at_once, soon, late = found.said
    assert (at_once.written_at, soon.written_at) == (None, None)
    assert late.written_at is not None
    assert abs(late.at - late.written_at - timedelta(minutes=3)) < timedelta(seconds=2)
    told = [line for line in lines_of(found) if "[written " in line]
    assert len(told) == 1
    assert f"{late.written_at.astimezone():%H:%M:%S}]" in told[0]


async def test_what_was_taken_back_is_shown_as_unsaid(world: World, connection: Connection) -> None:
    await world.answered(THREADS[0], "Hello.")
    await world.append(ConversationTaken(by="ana"), THREADS[0])
    await world.state(THREADS[0])
    found = await shown(connection, await conversation(connection))
    assert [(each.author, each.status, each.sid) for each in found.said if each.author == "AI"] == [("AI", "withdrawn", None)]


async def test_an_older_conversation_is_shown_without_the_story_of_the_newer_one(world: World, connection: Connection) -> None:
    await written(world, THREADS[0])
    await world.append(ConversationClosed(by="ana"), THREADS[0])
    await written(world, THREADS[0])
    _, oldest = await listed(connection)
    assert (await shown(connection, oldest)).steps == ()


async def test_an_open_dead_letter_is_counted_at_its_conversation(world: World, connection: Connection) -> None:
    """What a group gave up is unanswered by nobody, and would look as if all was well."""
    [asked] = await written(world, THREADS[0])
    dead = EventDeadLettered(event=asked, group="responder", error="ModelUnavailable", attempts=5, fingerprint="f")
    await world.append(dead, THREADS[0])
    await world.state(THREADS[0])
    assert (await conversation(connection)).dead_letters == 1


async def test_a_clock_that_was_moved_before_or_after_is_not_part_of_a_conversation(world: World, connection: Connection) -> None:
    await advance(connection, timedelta(minutes=1))
    await written(world, THREADS[0])
    await world.append(ConversationClosed(by="carlos"), THREADS[0])
    await world.state(THREADS[0])
    await advance(connection, timedelta(minutes=1))
    found = await shown(connection, await conversation(connection))
    assert [step.name for step in found.steps] == ["message.received", "conversation.closed"]
    assert found.conversation.closer == "carlos"
