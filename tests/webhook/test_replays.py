"""A signature has no time: an old signed post is as good as new at the door, and changes nothing behind it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from projections.migrate import migrate
from projections.state import Status
from streams.delivery import Delivery
from streams.envelope import decode
from streams.events import ClockAdvanced, MessageReceived
from streams.partitions import partition_of, partition_subject
from tests.handlers.world import PARTITIONS, Model, World, a_world
from tests.projections.read_model import empty
from tests.webhook.posts import CONTACT, SENDER, SID, message, status
from tests.webhook.serving import door_on, serving

DAY_MS = 24 * 3_600_000
THREAD = f"{SENDER}|{CONTACT}"
PARTITION = partition_of(THREAD, PARTITIONS)
OLD = message(Body="Olá")


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    await asyncio.to_thread(migrate, database_url)
    async with a_world(database_url) as made:
        yield made


async def days_pass(world: World, days: int) -> None:
    await world.append(ClockAdvanced(offset_ms=days * DAY_MS), partition_subject(PARTITION))
    await world.tick(PARTITION)


async def delivered(world: World) -> list[Delivery]:
    """Every message of the log, as the responder gets it."""
    records = await world.log.read({PARTITION: 0}, limit=10_000)
    events = [(record, decode(record.value)) for record in records]
    found = [(record, event) for record, event in events if isinstance(event.data, MessageReceived)]
    return [Delivery("responder", record, event, record.position) for record, event in found]


async def shown(world: World) -> list[list[dict[str, object]]]:
    """What the read model says of conversations and messages, once everything is projected."""
    await world.view(THREAD)
    return [
        await world.rows("SELECT id, status, closed_by, last_activity_at, opened_at FROM conversations ORDER BY id"),
        await world.rows("SELECT id, conversation_id, body, status, at, position FROM messages ORDER BY id"),
        await world.rows("SELECT event_id, status FROM dead_letters ORDER BY event_id"),
    ]


@pytest.mark.parametrize("days", [0, 1, 30, 400])
async def test_an_old_post_changes_nothing_and_costs_no_answer(world: World, days: int) -> None:
    """After an hour, and long after its conversation has ended."""
    model = Model()
    responder = world.responder(model)
    async with serving(door_on(world.log)) as client:
        assert (await client.post(OLD)).status == 200
        (asked,) = await delivered(world)
        await responder.respond(asked)
        await days_pass(world, days)
        before = await shown(world)

        assert (await client.post(OLD)).status == 200
        *_, again = await delivered(world)
        await responder.respond(again)

    assert await shown(world) == before
    assert len(model.questions) == 1
    conversation = (await world.state(THREAD)).conversation
    assert conversation is not None
    assert (conversation.status is Status.EXPIRED) == (days > 1)


async def test_an_old_post_of_a_message_that_a_busy_contact_has_long_buried_changes_nothing(world: World) -> None:
    """More than the state of a thread remembers by itself."""
    async with serving(door_on(world.log)) as client:
        assert (await client.post(OLD)).status == 200
        for number in range(300):
            await world.write(THREAD, f"message {number}")
        await days_pass(world, 30)
        before = await shown(world)
        assert (await client.post(OLD)).status == 200
    assert await shown(world) == before


async def test_old_posts_change_nothing_in_a_read_model_that_is_made_anew(world: World) -> None:
    async with serving(door_on(world.log)) as client:
        for days in (1, 10, 30):
            assert (await client.post(OLD)).status == 200
            assert (await client.post(status(MessageSid="SM1", MessageStatus="delivered"))).status == 200
            await days_pass(world, days)
    before = await shown(world)

    await empty(world.database)
    await world.tick(PARTITION)

    assert await shown(world) == before
    assert [row["id"] for row in before[1] if row["body"]] == [SID]
