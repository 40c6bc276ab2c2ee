"""Clocks that are doubled, ended between two appends, late by hours, or set wrong: the conversations end the same."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handlers.ticker import Ticker
from projections.state import Status
from streams import crash_points
from streams.cancellation import end
from streams.events import ClockTicked
from streams.partitions import partition_of, partition_subject
from tests.handlers.test_ticker import data_of, settings, ticking, ticks
from tests.handlers.world import MINUTE_MS, PARTITIONS, World, thread_of

THREADS = tuple(thread_of(partition=partition, number=number) for partition in range(PARTITIONS) for number in range(2))
HOUR_MS = 60 * MINUTE_MS


class Ended(BaseException):
    """The process is no more: nothing catches this on its way."""


async def conversations(world: World) -> dict[str, tuple[Status, int]]:
    """Status and last activity of each thread's conversation, once everything is projected."""
    found = {}
    for thread in THREADS:
        conversation = (await world.state(thread)).conversation
        assert conversation is not None
        found[thread] = (conversation.status, conversation.last_activity_at_ms)
    return found


async def answered_everywhere(world: World) -> None:
    sender = world.sender()
    for number, thread in enumerate(THREADS):
        written = await world.answered(thread, "Hello.", reply=f"r{number}")
        await sender.send(written.delivered_to("sender"))


@pytest.mark.parametrize("point", ["clock.ticking", "clock.ticked"])
@pytest.mark.parametrize("at", range(PARTITIONS))
async def test_a_clock_that_ends_between_two_appends_leaves_nothing_that_the_next_one_does_not_bring(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str, at: int
) -> None:
    await answered_everywhere(world)
    world.clock.ahead_ms += 16 * MINUTE_MS
    passed = 0

    def end_at(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed == at + 1:
            raise Ended

    before = crash_points.on_reached
    monkeypatch.setattr(crash_points, "on_reached", end_at)
    first = asyncio.create_task(Ticker(world.log, world.database, settings(conversation_close_words=())).run())
    with pytest.raises(Ended):
        await asyncio.wait_for(first, 10)
    monkeypatch.setattr(crash_points, "on_reached", before)
    ticked = [len(await data_of(world, partition, ClockTicked)) for partition in range(PARTITIONS)]
    assert sum(ticked) == at + (point == "clock.ticked")

    async with ticking(world.log, world.database, conversation_close_words=()):
        for partition in range(PARTITIONS):
            await ticks(world, 1, partition)

    assert {status for status, _ in (await conversations(world)).values()} == {Status.IDLE}


async def test_many_clocks_at_once_leave_what_one_leaves(world: World) -> None:
    """Each deadline is passed once, however many ticks show it, and whatever they call the time."""
    await answered_everywhere(world)
    before = await conversations(world)
    world.clock.ahead_ms += 16 * MINUTE_MS
    tickers = [asyncio.create_task(Ticker(world.log, world.database, settings()).run()) for _ in range(5)]
    for partition in range(PARTITIONS):
        await ticks(world, 10, partition)
    await end(tickers)

    after = await conversations(world)
    assert after == {thread: (Status.IDLE, activity) for thread, (_, activity) in before.items()}
    stories = await world.rows("SELECT count(*) AS found FROM conversations")
    assert stories[0]["found"] == len(THREADS)


async def test_the_first_tick_after_hours_does_all_that_was_due_meanwhile(world: World) -> None:
    """Idle after 15 minutes, expired after a day and a night: passed one after the other, each dated by itself."""
    await answered_everywhere(world)
    world.clock.ahead_ms += 3 * HOUR_MS
    for partition in range(PARTITIONS):
        await world.tick(partition)
    assert {status for status, _ in (await conversations(world)).values()} == {Status.IDLE}
    world.clock.ahead_ms += 30 * HOUR_MS
    for partition in range(PARTITIONS):
        await world.tick(partition)
    assert {status for status, _ in (await conversations(world)).values()} == {Status.EXPIRED}


@pytest.mark.parametrize(
    "wrong", [timedelta(days=-3650), timedelta(minutes=-10), timedelta(minutes=10), timedelta(days=3650)], ids=str
)
async def test_what_a_tick_calls_the_time_is_not_believed(world: World, wrong: timedelta) -> None:
    """A clock on a host that is set wrong: the log's own time counts."""
    await answered_everywhere(world)
    world.clock.ahead_ms += 14 * MINUTE_MS
    for partition in range(PARTITIONS):
        await world.append(ClockTicked(nominal=datetime.now(UTC) + wrong), partition_subject(partition))
    assert {status for status, _ in (await conversations(world)).values()} == {Status.ACTIVE}
    world.clock.ahead_ms += 2 * MINUTE_MS
    for partition in range(PARTITIONS):
        await world.append(ClockTicked(nominal=datetime.now(UTC) + wrong), partition_subject(partition))
    assert {status for status, _ in (await conversations(world)).values()} == {Status.IDLE}


async def test_a_tick_tells_the_time_of_the_log_and_stands_in_it_with_its_own(world: World) -> None:
    """The clock's host may be minutes apart: it asks the log."""
    world.clock.ahead_ms += 10 * MINUTE_MS
    async with ticking(world.log, world.database):
        await ticks(world, 1)
    records = await world.log.read({0: 0}, limit=1000)
    ticked = [
        (record, data) for record, data in zip(records, await all_data(world), strict=True) if isinstance(data, ClockTicked)
    ]
    assert ticked
    for record, data in ticked:
        assert 0 <= record.appended_at_ms - data.nominal.timestamp() * 1000 < MINUTE_MS


async def all_data(world: World) -> list[Any]:
    return await data_of(world, 0, object)


async def test_while_the_log_goes_back_in_time_nothing_does(world: World) -> None:
    """A server whose host's clock steps back gives ids that still grow; the state's time stands until it is caught up with."""
    await answered_everywhere(world)
    world.clock.ahead_ms += 16 * MINUTE_MS
    for partition in range(PARTITIONS):
        await world.tick(partition)
    before = await conversations(world)
    world.clock.ahead_ms -= 20 * MINUTE_MS
    for partition in range(PARTITIONS):
        await world.tick(partition)
    assert await conversations(world) == before
    again = await world.write(THREADS[0])
    conversation = (await world.state(THREADS[0])).conversation
    assert conversation is not None
    assert conversation.last_activity_at_ms >= before[THREADS[0]][1]
    assert partition_of(THREADS[0], PARTITIONS) == again.at.partition
