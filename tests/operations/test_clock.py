"""The development clock: later at once, everywhere, and never in production."""

import itertools
from datetime import timedelta

import pytest

from operations.clock import advance
from operations.connection import Connection
from operations.errors import ActLapsed, ActRefused, NotFoldedYet
from projections.state import Status
from streams.events import AnyEventData, ClockAdvanced, ClockTicked
from streams.log import Appended
from tests.handlers.world import PARTITIONS, World, events_of, thread_of


async def test_what_is_overdue_shows_as_soon_as_the_clock_was_moved(world: World, connection: Connection) -> None:
    threads = [thread_of(partition, partition) for partition in range(PARTITIONS)]
    for thread in threads:
        await world.write(thread)
    assert await advance(connection, timedelta(hours=49)) == timedelta(hours=49)
    for thread in threads:
        state = (await world.journal().look(thread)).state
        assert state is not None
        assert state.conversation is not None
        assert state.conversation.status is Status.EXPIRED


async def test_advances_add_up_from_the_partition_that_is_furthest_ahead(world: World, connection: Connection) -> None:
    await world.append(ClockAdvanced(offset_ms=60_000), "partition/2")
    assert await advance(connection, timedelta(minutes=20)) == timedelta(minutes=21)
    assert await advance(connection, timedelta(minutes=20)) == timedelta(minutes=41)
    for partition in range(PARTITIONS):
        offsets = [
            event.data.offset_ms for event in await events_of(world.log, partition) if isinstance(event.data, ClockAdvanced)
        ]
        assert offsets[-1] == 41 * 60_000


async def test_two_advances_at_once_both_count(world: World, connection: Connection) -> None:
    """Another one begins and ends after this one has read how far the clock is."""
    append = connection.append
    told: list[timedelta] = []

    async def overtaken(data: AnyEventData, *, subject: str, owner: str = "default") -> Appended:
        if isinstance(data, ClockAdvanced) and not told:
            told.append(timedelta())
            told.append(await advance(Connection(world.log, world.database), timedelta(minutes=30)))
        return await append(data, subject=subject, owner=owner)

    connection.append = overtaken  # type: ignore[method-assign]
    told.append(await advance(connection, timedelta(minutes=20)))
    assert told[1:] == [timedelta(minutes=30), timedelta(minutes=50)]
    for partition in range(PARTITIONS):
        assert await offset_ms(world, partition) == 50 * 60_000


async def test_an_advance_that_others_overtake_every_time_says_so(world: World, connection: Connection) -> None:
    append = connection.append
    ahead = itertools.count(100, 100)

    async def overtaken(data: AnyEventData, *, subject: str, owner: str = "default") -> Appended:
        if isinstance(data, ClockAdvanced) and subject == "partition/0":
            await append(ClockAdvanced(offset_ms=next(ahead) * 60_000), subject=subject)
        return await append(data, subject=subject, owner=owner)

    connection.append = overtaken  # type: ignore[method-assign]
    with pytest.raises(ActLapsed, match=r"0:20:00 of 0:20:00 did not count"):
        await advance(connection, timedelta(minutes=20))


async def offset_ms(world: World, partition: int) -> int:
    advances = [event.data for event in await events_of(world.log, partition) if isinstance(event.data, ClockAdvanced)]
    return max(each.offset_ms for each in advances)


async def test_a_tick_follows_so_that_the_groups_look_for_what_was_left_to_them(world: World, connection: Connection) -> None:
    await advance(connection, timedelta(minutes=1))
    for partition in range(PARTITIONS):
        assert [event.data.name for event in await events_of(world.log, partition)] == [ClockAdvanced.name, ClockTicked.name]


@pytest.mark.parametrize("by", [timedelta(), timedelta(seconds=-1), timedelta(days=40_000)])
async def test_a_step_back_or_out_of_the_calendar_is_refused(world: World, connection: Connection, by: timedelta) -> None:
    with pytest.raises(ActRefused):
        await advance(connection, by)
    assert set((await world.log.heads()).values()) == {0}


async def test_nobody_moves_the_clock_of_production(world: World) -> None:
    with pytest.raises(ActRefused, match="production"):
        await advance(Connection(world.log, world.database, in_production=True), timedelta(minutes=20))
    assert set((await world.log.heads()).values()) == {0}


async def test_the_clock_is_not_moved_where_nobody_folds(world: World) -> None:
    """Else the offset that it starts from might be an old one."""
    connection = Connection(world.log, world.database, fold_seconds=0.1)
    for partition in range(PARTITIONS):
        await world.ownership.lose(partition)
    await world.write(thread_of())
    heads = await world.log.heads()
    with pytest.raises(NotFoldedYet, match="do the handlers run"):
        await advance(connection, timedelta(minutes=20))
    assert await world.log.heads() == heads
