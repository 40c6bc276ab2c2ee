"""The clock: it shows every partition how late it is, and brings the policy up to date, at its start and only then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.ticker import Ticker, policy_of_settings
from projections.database import Database
from projections.state import Status
from settings import Settings
from streams.cancellation import end
from streams.engines.memory import MemoryEventLog
from streams.envelope import decode, name_of, new_event
from streams.errors import ConfigurationError, LogUnavailable
from streams.events import AfterHandoff, ClockAdvanced, ClockTicked, Event, PolicyChanged
from streams.log import Appended
from streams.partitions import partition_subject
from tests.handlers.test_journal import AwayDatabase
from tests.handlers.world import PARTITIONS, World, events_of, eventually, thread_of

TICK_SECONDS = 0.05
ANA = thread_of(1)


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **{"clock_tick_seconds": TICK_SECONDS, **changes})


@asynccontextmanager
async def ticking(log: Any, database: Database, **changes: Any) -> AsyncIterator[Ticker]:
    ticker = Ticker(log, database, settings(**changes))
    task = asyncio.create_task(ticker.run())
    try:
        yield ticker
    finally:
        await end([task])


async def data_of(world: World, partition: int, kind: type) -> list[Any]:
    return [event.data for event in await events_of(world.log, partition) if isinstance(event.data, kind)]


async def ticks(world: World, count: int, partition: int = 0) -> None:
    """Until so many more stand there."""
    before = len(await data_of(world, partition, ClockTicked))

    async def enough() -> bool:
        return len(await data_of(world, partition, ClockTicked)) >= before + count

    await eventually(enough)


async def advance(world: World, partition: int, offset_ms: int) -> None:
    await world.append(ClockAdvanced(offset_ms=offset_ms), partition_subject(partition))


async def test_every_partition_is_ticked_again_and_again(world: World) -> None:
    async with ticking(world.log, world.database):
        for partition in range(PARTITIONS):
            await ticks(world, 2, partition)


async def test_ticks_come_as_often_as_is_set(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with ticking(world.log, world.database, clock_tick_seconds=0.1):
        await ticks(world, 1)
        started = loop.time()
        await ticks(world, 5)
        assert 0.3 < loop.time() - started < 3.0


async def test_a_silent_conversation_becomes_idle_by_a_tick(world: World) -> None:
    sender = world.sender()
    written = await world.answered(ANA, "Hello.")
    await sender.send(written.delivered_to("sender"))
    world.clock.ahead_ms += 16 * 60_000

    async def is_idle() -> bool:
        conversation = (await world.state(ANA)).conversation
        return conversation is not None and conversation.status is Status.IDLE

    async with ticking(world.log, world.database):
        await eventually(is_idle)


# --------------------------------------------------------------------------------------------------------- policy


async def test_the_policy_is_written_once_to_each_partition_at_the_first_start(world: World) -> None:
    for _ in range(3):
        async with ticking(world.log, world.database):
            await ticks(world, 2)
            await is_up_to_date(world)
    for partition in range(PARTITIONS):
        assert await data_of(world, partition, PolicyChanged) == [policy_of_settings(settings())]


async def is_up_to_date(world: World) -> None:
    async def found() -> bool:
        return all([await data_of(world, partition, PolicyChanged) for partition in range(PARTITIONS)])

    await eventually(found)


async def test_defaults_that_the_fold_has_anyway_need_no_policy(world: World) -> None:
    async with ticking(world.log, world.database, conversation_close_words=()):
        await ticks(world, 3)
    assert await data_of(world, 0, PolicyChanged) == []


async def test_a_changed_setting_is_written_only_where_it_differs(world: World) -> None:
    wanted = settings(conversation_idle_timeout_minutes=5, conversation_after_handoff=AfterHandoff.EXPIRED)
    await world.append(policy_of_settings(wanted), partition_subject(2))
    changes = {"conversation_idle_timeout_minutes": 5, "conversation_after_handoff": AfterHandoff.EXPIRED}
    async with ticking(world.log, world.database, **changes):
        await is_up_to_date(world)
        await ticks(world, 2)
    for partition in range(PARTITIONS):
        assert await data_of(world, partition, PolicyChanged) == [policy_of_settings(wanted)]


async def test_what_the_projection_has_not_seen_yet_counts(world: World, handlers_database_url: str) -> None:
    """The projector is away: the policy stands in the log, and not yet in Postgres."""
    log = MemoryEventLog(PARTITIONS, world.clock)
    for partition in range(PARTITIONS):
        await log.append(new_event(policy_of_settings(settings()), subject=partition_subject(partition), source="test"))
        log.append_bytes(partition, b"not an event")
        log.append_bytes(partition, b'{"specversion":"1.0","id":"1","type":"prosa.message.received.v99","data":{}}')
    async with ticking(log, world.database):
        await eventually(lambda: log.heads())
        for _ in range(3):
            before = await log.heads()

            async def has_moved(before: Any = before) -> bool:
                return all(position > before[partition] for partition, position in (await log.heads()).items())

            await eventually(has_moved)
    assert [event.data.name for event in await readable(log)].count("policy.changed") == PARTITIONS


async def readable(log: MemoryEventLog) -> list[Event]:
    records = await log.read(dict.fromkeys(range(PARTITIONS), 0), limit=10_000)
    return [decode(record.value) for record in records if name_of(record.value) in {"policy.changed", "clock.ticked"}]


async def test_an_advance_that_a_crash_left_out_of_some_partitions_is_completed(world: World) -> None:
    for partition in (0, 1):
        await advance(world, partition, 60_000)
    await advance(world, 2, 30_000)
    async with ticking(world.log, world.database):
        for partition in range(PARTITIONS):

            async def is_complete(partition: int = partition) -> bool:
                return (await data_of(world, partition, ClockAdvanced))[-1:] == [ClockAdvanced(offset_ms=60_000)]

            await eventually(is_complete)
        await ticks(world, 2)
    assert len(await data_of(world, 0, ClockAdvanced)) == 1


# -------------------------------------------------------------------------------------------------------- outages


async def test_while_postgres_is_away_the_ticks_go_on_and_the_policy_follows_later(
    world: World, handlers_database_url: str
) -> None:
    database = AwayDatabase(handlers_database_url)
    database.is_away = True
    async with ticking(world.log, database):
        await ticks(world, 3)
        assert await data_of(world, 0, PolicyChanged) == []
        database.is_away = False
        await is_up_to_date(world)
    await database.close()


class AwayLog:
    """A log whose server is away while a test says so."""

    def __init__(self, log: MemoryEventLog) -> None:
        self._log = log
        self.is_away = True
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, event: Event) -> Appended:
        self.tries += 1
        if self.is_away:
            raise LogUnavailable("ConnectionError")
        return await self._log.append(event)

    async def time_ms(self) -> int:
        return await self._log.time_ms()


async def test_while_the_log_is_away_the_clock_waits_with_one_line_and_goes_on(world: World) -> None:
    log = AwayLog(world.log)
    with capture_logs() as lines:
        async with ticking(log, world.database) as ticker:
            await eventually(lambda: log.tries >= 4)
            assert ticker.is_late
            log.is_away = False
            await ticks(world, 2)
            assert not ticker.is_late
            await is_up_to_date(world)
    assert [line["event"] for line in lines if "kind" in line] == ["outage.begun", "outage.ended"]


async def test_ticks_that_were_missed_are_not_made_up_for(world: World) -> None:
    log = AwayLog(world.log)
    async with ticking(log, world.database, clock_tick_seconds=0.1, conversation_close_words=()):
        await eventually(lambda: log.tries >= 3)
        log.is_away = False
        await ticks(world, 1)
        found = await data_of(world, 0, ClockTicked)
    assert len(found) <= 2


async def test_what_must_stop_the_process_comes_out_by_its_own_name(world: World) -> None:
    class Misconfigured(AwayDatabase):
        @asynccontextmanager
        async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Any]:
            raise ConfigurationError("DATABASE_URL: Postgres answers InvalidPasswordError")
            yield

    with pytest.raises(ConfigurationError):
        await asyncio.wait_for(Ticker(world.log, Misconfigured("postgresql://"), settings()).run(), 5)


async def test_several_clocks_change_nothing(world: World) -> None:
    async with ticking(world.log, world.database), ticking(world.log, world.database):
        await ticks(world, 4)
        await world.write(ANA)
        assert len((await world.state(ANA)).unanswered) == 1
