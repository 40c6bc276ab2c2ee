"""The story of a thread, read from Postgres: no log is needed for it."""

from datetime import timedelta
from itertools import count

import pytest

from operations.clock import advance
from operations.connection import Connection
from operations.refold import SILENCE
from operations.timeline import Timeline, timeline
from projections.database import sql
from projections.state import Status
from streams.envelope import decode, name_of
from streams.events import ClockAdvanced, ConversationClosed, Event, MessageReceived, PolicyChanged
from streams.partitions import partition_of
from tests.handlers.world import MINUTE_MS, PARTITIONS, World, thread_of

THREAD = thread_of(0)
HERE = partition_of(THREAD, PARTITIONS)
NEIGHBOUR = next(thread for number in range(1, 99) if partition_of(thread := thread_of(number), PARTITIONS) == HERE)


def names(story: Timeline) -> list[str]:
    return [step.name for step in story.steps]


def watch_reading(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The names of the events that are read from the archive from now on."""
    read: list[str | None] = []

    def decoded(value: bytes) -> Event:
        read.append(name_of(value))
        return decode(value)

    monkeypatch.setattr("operations.timeline.decode", decoded)
    return read


async def test_a_thread_that_nobody_has_seen_has_no_story(connection: Connection) -> None:
    assert await timeline(connection, THREAD) == Timeline(None, 0, 0, ())


async def test_a_story_is_told_to_its_end(world: World, connection: Connection) -> None:
    await world.answered(THREAD, "Hello.")
    await world.state(THREAD)
    story = await timeline(connection, THREAD)
    assert names(story) == ["message.received", "reply.generated"]
    assert story.steps[-1].changes == ("nothing unanswered", "reply accepted")
    assert story.conversation is not None
    assert story.conversation.status is Status.PENDING
    assert story.window_closes_at_ms == story.steps[0].at_ms + 24 * 60 * MINUTE_MS


async def test_time_moved_by_hand_is_part_of_the_story(world: World, connection: Connection) -> None:
    await world.write(THREAD)
    await advance(connection, timedelta(hours=50))
    story = await timeline(connection, THREAD)
    assert names(story) == ["message.received", "clock.advanced"]
    assert story.steps[-1].changes[1] == "status pending → expired"
    assert story.log_time_ms - world.clock() > 49 * 60 * MINUTE_MS


async def test_silence_is_told_once_a_tick_has_shown_it(world: World, connection: Connection) -> None:
    await world.write(THREAD)
    world.clock.ahead_ms = 49 * 60 * MINUTE_MS
    await world.write(NEIGHBOUR)
    await world.state(THREAD)
    assert names(await timeline(connection, THREAD)) == ["message.received"]
    await world.tick(HERE)
    await world.state(THREAD)
    assert names(await timeline(connection, THREAD)) == ["message.received", SILENCE]


async def test_a_story_begins_with_the_conversation_before_the_newest(world: World, connection: Connection) -> None:
    for number in range(4):
        await world.write(THREAD, f"message {number}")
        await world.append(ConversationClosed(by="ana"), THREAD)
    await world.state(THREAD)
    story = await timeline(connection, THREAD)
    assert names(story) == ["message.received", "conversation.closed"] * 2
    assert story.steps[0].changes[0] == "opened conversation, linked to the one before"


async def test_a_story_has_as_many_steps_as_are_asked_for(world: World, connection: Connection) -> None:
    for number in range(5):
        await world.write(THREAD, f"message {number}")
    await world.state(THREAD)
    assert len((await timeline(connection, THREAD, limit=3)).steps) == 3


async def test_a_sid_of_an_earlier_conversation_is_known_to_the_story(world: World, connection: Connection) -> None:
    sids = (f"SM{number:032x}" for number in count())
    early = next(sids)
    await world.write(THREAD, sid=early)
    for _ in range(3):
        await world.append(ConversationClosed(by="ana"), THREAD)
        await world.write(THREAD, sid=next(sids))
    await world.write(THREAD, sid=early)
    await world.state(THREAD)
    story = await timeline(connection, THREAD)
    assert (story.steps[-1].name, story.steps[-1].changes) == ("message.received", ())


async def test_ticks_are_not_read(world: World, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.write(THREAD)
    for _ in range(50):
        await world.tick(HERE)
    await world.state(THREAD)
    read = watch_reading(monkeypatch)
    await timeline(connection, THREAD)
    assert read == [MessageReceived.name]


async def test_a_story_that_goes_on_is_the_one_that_is_told_anew(world: World, connection: Connection) -> None:
    seen: list[str] = []
    for number in range(4):
        await world.write(THREAD, f"message {number}", sid=f"SM{number // 2}")
        if number == 2:
            await advance(connection, timedelta(hours=50))
        await world.state(THREAD)
        story = await timeline(connection, THREAD)
        anew = await timeline(Connection(world.log, world.database), THREAD)
        assert (story.steps, story.conversation) == (anew.steps, anew.conversation)
        seen = names(story)
    assert seen == ["message.received", "message.received", "message.received", "clock.advanced", "message.received"]


async def test_a_story_goes_on_without_reading_what_it_read(
    world: World, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.write(THREAD)
    await world.state(THREAD)
    await timeline(connection, THREAD)
    read = watch_reading(monkeypatch)
    await timeline(connection, THREAD)
    assert read == []
    await world.write(THREAD)
    await world.state(THREAD)
    await timeline(connection, THREAD)
    assert len(read) == 1


async def test_a_story_begins_anew_where_the_read_model_does(world: World, connection: Connection) -> None:
    """A restored Postgres may stand further back."""
    await world.write(THREAD)
    before = (await world.view(THREAD)).position
    await world.append(ConversationClosed(by="ana"), THREAD)
    await world.state(THREAD)
    assert names(await timeline(connection, THREAD)) == ["message.received", "conversation.closed"]
    async with world.database.transaction() as writing:
        await writing.execute("DELETE FROM events WHERE position > $1 AND subject = $2", before, THREAD)
        await writing.execute("UPDATE checkpoints SET position = $1 WHERE partition = $2", before, HERE)
    assert names(await timeline(connection, THREAD)) == ["message.received"]


def test_what_steers_is_named_in_the_version_that_is_written() -> None:
    """The statements and their index name types; a new version of one must be added there."""
    for statement in ("timeline_events", "timeline_policy"):
        assert f"'prosa.{PolicyChanged.name}.v{PolicyChanged.version}'" in sql(statement)
    assert f"'prosa.{ClockAdvanced.name}.v{ClockAdvanced.version}'" in sql("timeline_events")
