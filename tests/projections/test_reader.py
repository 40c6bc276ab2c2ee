"""What handlers read is one moment of the read model."""

import asyncio

import pytest

from projections.database import Database
from projections.reader import Reader, View
from streams.events import (
    ClockAdvanced,
    ConversationTaken,
    Media,
    MessageReceived,
    PersonReplied,
    ReplyGenerated,
    SendUnconfirmed,
)
from tests.projections.read_model import HOUR_MS, MINUTE_MS, STARTED_AT_MS, Log, Projecting, thread_in

THREAD, SECOND, THIRD = (thread_in(0, number) for number in range(3))


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


async def test_a_partition_that_was_never_projected_stands_before_its_first_entry(reader: Reader) -> None:
    view = await reader.view(0, THREAD)

    assert (view.state, view.position, view.log_time_ms, view.appended_at_ms) == (None, 0, 0, 0)


async def test_a_thread_that_nobody_has_seen_has_no_state_but_its_partitions_time(reader: Reader, projecting: Projecting) -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    log.add_to_partition(ClockAdvanced(offset_ms=HOUR_MS), 0)
    await projecting.catch_up(log.records)

    view = await reader.view(0, SECOND)

    assert view.state is None
    assert view.position == 2
    assert view.appended_at_ms == STARTED_AT_MS
    assert view.log_time_ms == STARTED_AT_MS + HOUR_MS


async def test_state_and_checkpoint_are_of_one_moment(reader: Reader, projecting: Projecting) -> None:
    """While the projector works, whatever position a view tells, its state has counted exactly the messages up to there."""
    log = Log()
    for number in range(60):
        log.receive(THREAD, f"SM{number}")
    views: list[View] = []

    async def look() -> None:
        while not views or views[-1].position < 60:
            views.append(await reader.view(0, THREAD))

    await asyncio.wait_for(asyncio.gather(projecting.catch_up(log.records, batch=1), look(), look()), 60)

    assert len({view.position for view in views}) > 5
    assert all((view.state.inbound_count if view.state else 0) == view.position for view in views)


async def test_a_history_is_in_the_order_of_the_log_with_the_newest_and_all_that_waits(
    reader: Reader, projecting: Projecting
) -> None:
    log = Log()
    first = log.receive(THREAD, "SM1", "one")
    log.add(ReplyGenerated(reply="r1", first_event=first, last_event=first, parts=("answer",)), THREAD)
    log.start_send(THREAD, "r1", "a1")
    log.send(THREAD, "r1", "a1", "SO1")
    log.add(PersonReplied(reply="r2", parts=("a person",), by="ana"), THREAD)
    log.start_send(THREAD, "r2", "a2")
    log.status(THREAD, "SO2", "sent", "a2")
    log.send(THREAD, "r2", "a2", "SO2")
    waiting = log.receive(THREAD, "SM2", "two")
    log.receive(SECOND, "SM3", "elsewhere")
    log.receive(THREAD, "SM4", "three")
    await projecting.catch_up(log.records)

    whole = await reader.history(first, [], limit=10)
    short = await reader.history(first, [waiting], limit=1)

    assert [(line.direction, line.body, line.is_by_person) for line in whole] == [
        ("inbound", "one", False),
        ("outbound", "answer", False),
        ("outbound", "a person", True),
        ("inbound", "two", False),
        ("inbound", "three", False),
    ]
    assert [line.body for line in short] == ["two", "three"]


async def test_a_message_that_waits_is_in_the_history_of_the_conversation_that_answers_it(
    reader: Reader, projecting: Projecting
) -> None:
    """Also one of an earlier conversation, sent round again."""
    log = Log()
    old = log.receive(THREAD, "SM1", "old")
    log.wait(49 * HOUR_MS)
    new = log.receive(THREAD, "SM2", "new")
    await projecting.catch_up(log.records)

    assert [line.body for line in await reader.history(new, [], limit=10)] == ["new"]
    assert [line.body for line in await reader.history(new, [old], limit=10)] == ["old", "new"]


async def test_what_waits_for_an_answer_is_found_longest_first(reader: Reader, projecting: Projecting) -> None:
    log = Log()
    for thread in (SECOND, THIRD, THREAD):
        log.receive(thread, f"SM-{thread}")
        log.wait(MINUTE_MS)
    log.receive(SECOND, "SM-again")
    log.add(ConversationTaken(by="ana"), THIRD)
    await projecting.catch_up(log.records)

    assert await reader.awaiting_answer(0, log.now_ms, limit=10) == [SECOND, THREAD]
    assert await reader.awaiting_answer(0, STARTED_AT_MS, limit=10) == [SECOND]
    assert await reader.awaiting_answer(0, log.now_ms, limit=1) == [SECOND]
    assert await reader.awaiting_answer(1, log.now_ms, limit=10) == []


async def test_what_waits_to_be_sent_is_found_until_it_has_an_outcome(reader: Reader, projecting: Projecting) -> None:
    log = Log()
    event = log.receive(THREAD, "SM1")
    log.add(ReplyGenerated(reply="r1", first_event=event, last_event=event, parts=("Hello.",)), THREAD)
    found = []

    async def look() -> None:
        await projecting.catch_up(log.records)
        found.append(await reader.awaiting_send(0, log.now_ms, limit=10))

    await look()
    log.start_send(THREAD, "r1", "a1")
    await look()
    log.send(THREAD, "r1", "a1", "SO1")
    await look()

    assert found == [[THREAD], [THREAD], []]


async def test_an_unconfirmed_send_that_a_late_callback_proves_is_found(reader: Reader, projecting: Projecting) -> None:
    log = Log()
    event = log.receive(THREAD, "SM1")
    log.add(ReplyGenerated(reply="r1", first_event=event, last_event=event, parts=("Hello.",)), THREAD)
    log.start_send(THREAD, "r1", "a1")
    log.add(SendUnconfirmed(reply="r1", part=0, attempt="a1"), THREAD)
    await projecting.catch_up(log.records)
    before = await reader.awaiting_send(0, log.now_ms, limit=10)
    log.status(THREAD, "SO1", "delivered", "a1")
    await projecting.catch_up(log.records)

    assert (before, await reader.awaiting_send(0, log.now_ms, limit=10)) == ([], [THREAD])


async def test_a_sid_is_accounted_for_when_it_came_in_or_belongs_to_a_reply_or_another_attempt(
    reader: Reader, projecting: Projecting
) -> None:
    log = Log()
    event = log.receive(THREAD, "SM1")
    log.add(ReplyGenerated(reply="r1", first_event=event, last_event=event, parts=("Hello.",)), THREAD)
    log.start_send(THREAD, "r1", "a1")
    log.send(THREAD, "r1", "a1", "SO1")
    log.status(THREAD, "SO-stray", "delivered")
    log.status(THREAD, "SO-other", "delivered", "a2")
    await projecting.catch_up(log.records)
    sids = ["SM1", "SO1", "SO-stray", "SO-other", "SO-unheard"]

    assert await reader.accounted_sids(THREAD, sids, apart_from="a1") == {"SM1", "SO1", "SO-other"}
    assert await reader.accounted_sids(THREAD, sids, apart_from="a2") == {"SM1", "SO1"}
    assert await reader.accounted_sids("another thread", sids, apart_from="a1") == set()
    assert await reader.accounted_sids(THREAD, [], apart_from="a1") == set()


async def test_a_history_of_a_file_shows_its_placeholder(reader: Reader, projecting: Projecting) -> None:
    log = Log()
    data = MessageReceived(
        sid="SM1",
        kind="image",
        body="[image]",
        media=(Media(url="https://x/1", content_type="image/png"),),
        form={},
    )
    event = log.add(data, THREAD)
    await projecting.catch_up(log.records)
    await Projecting(projecting.database).catch_up(log.records)

    assert [line.body for line in await reader.history(event, [], limit=10)] == ["[image]"]
