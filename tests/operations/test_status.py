"""The status: it looks everywhere, tells what it could not see, and makes nothing."""

import re
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from commands.status import document
from operations.clock import advance
from operations.connection import Connection, connected
from operations.conversations import listed
from operations.dead_letters import letters
from operations.status import Totals, status
from operations.timeline import timeline
from projections.counts import count
from projections.database import Database
from settings import Settings
from simulator.servers import free_port
from streams.engines.redis_connection import Client
from streams.events import ClockAdvanced, ConversationTaken, EventDeadLettered, SendStarted, SendUnconfirmed
from streams.log import Holder
from streams.partitions import partition_of, partition_subject
from tests.handlers.world import PARTITIONS, World, thread_of
from tests.streams.conftest import redis

__all__ = ["redis"]

THREAD, OTHER = thread_of(0), thread_of(1)
HOUR_MS = 3_600_000
NOWHERE = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"


async def test_a_system_at_rest_is_not_behind(world: World, connection: Connection) -> None:
    found = await status(connection)
    assert found.problems == {}
    assert found.log is not None
    assert {lag.seconds for lags in found.log.lags.values() for lag in lags.values()} == {0.0}
    assert list(found.log.lags) == ["projector", "responder", "sender"]
    assert found.log.unserved == list(range(PARTITIONS))
    assert found.read_model is not None
    assert (found.read_model.conversations, found.read_model.tick_age_seconds) == ({}, None)


async def test_the_owners_of_partitions_are_named(world: World, connection: Connection) -> None:
    world.log.held[1] = Holder("w1", 8.0)
    found = await status(connection)
    assert found.log is not None
    assert (found.log.holders, found.log.unserved) == ({1: Holder("w1", 8.0)}, [0, 2, 3])


async def test_each_group_is_as_far_behind_as_its_marks(world: World, connection: Connection) -> None:
    here = partition_of(THREAD, PARTITIONS)
    written = await world.write(THREAD)
    await world.write(THREAD)
    await world.state(THREAD)
    for group in ("responder", "sender"):
        await world.log.committed(group)
    await world.log.commit("sender", {here: written.at.position})
    world.clock.ahead_ms += 5_000
    found = await status(connection)
    assert found.log is not None
    lags = {group: lags[here] for group, lags in found.log.lags.items()}
    assert {group: lag.events for group, lag in lags.items()} == {"projector": 0, "responder": 2, "sender": 1}
    assert lags["projector"].seconds == 0
    assert min(lags["responder"].seconds, lags["sender"].seconds) >= 5


async def test_what_nobody_folds_is_the_projectors_lag(world: World, connection: Connection) -> None:
    for partition in range(PARTITIONS):
        await world.ownership.lose(partition)
    await world.write(THREAD)
    found = await status(connection)
    assert found.log is not None
    assert found.log.lags["projector"][partition_of(THREAD, PARTITIONS)].events == 1


async def test_a_checkpoint_of_another_epoch_says_nothing_about_this_log(world: World, connection: Connection) -> None:
    await world.write(THREAD)
    await world.state(THREAD)
    async with world.database.transaction() as writing:
        await writing.execute("UPDATE checkpoints SET epoch = 7")
    found = await status(connection)
    assert found.log is not None
    assert found.log.lags["projector"][partition_of(THREAD, PARTITIONS)].events == 1


async def test_what_waits_is_counted_with_the_age_of_its_oldest(world: World, connection: Connection) -> None:
    await world.write(THREAD)
    await world.write(OTHER)
    await world.append(ConversationTaken(by="ana"), OTHER)
    await advance(connection, timedelta(minutes=7))
    found = (await status(connection)).read_model
    assert found is not None
    assert found.conversations == {"pending": 1, "handoff": 1}
    for waiting in (found.unanswered_by_ai, found.unanswered_by_person):
        assert waiting.number == 1
        assert waiting.oldest_seconds == pytest.approx(7 * 60, abs=30)
    assert found.clock_ahead_seconds == 7 * 60
    assert found.tick_age_seconds == pytest.approx(0, abs=30)


async def test_who_watches_counts_all_conversations_rarely_and_what_waits_each_time(world: World, connection: Connection) -> None:
    totals = Totals()
    seen = []
    for thread in (THREAD, OTHER):
        await world.write(thread)
        await world.state(thread)
        found = (await status(connection, totals)).read_model
        assert found is not None
        seen.append((found.conversations, found.unanswered_by_ai.number))
    assert seen == [({"pending": 1}, 1), ({"pending": 1}, 2)]
    unhurried = (await status(connection)).read_model
    assert unhurried is not None
    assert unhurried.conversations == {"pending": 2}


async def test_a_projector_that_stands_still_does_not_make_what_waits_younger(world: World, connection: Connection) -> None:
    """Ages are by the clock on the wall, and not by the last entry that was folded: in the status, the list and the timeline."""
    world.clock.ahead_ms = -2 * HOUR_MS
    asked = await world.write(THREAD)
    await world.append(EventDeadLettered(event=asked.event.id, group="sender", attempts=5, error="E", fingerprint="f"), THREAD)
    await world.state(THREAD)
    found = (await status(connection)).read_model
    assert found is not None
    [letter] = await letters(connection.database)
    [conversation] = await listed(connection)
    story = await timeline(connection, THREAD)
    since = (conversation.log_time - conversation.last_activity_at).total_seconds()
    ages = found.unanswered_by_ai.oldest_seconds, found.dead_letters["sender"].oldest_seconds, letter.age_seconds, since
    assert ages == pytest.approx((7200,) * 4, abs=30)
    assert story.log_time_ms == pytest.approx(time.time() * 1000, abs=30_000)
    assert (await count(connection.database)).oldest_unanswered_seconds == pytest.approx(7200, abs=30)


async def test_the_clock_that_runs_furthest_ahead_is_that_of_every_partition(world: World, connection: Connection) -> None:
    """An advance that was cut short moved some partitions; the next tick moves the rest."""
    await world.write(THREAD)
    await world.state(THREAD)
    elsewhere = (partition_of(THREAD, PARTITIONS) + 1) % PARTITIONS
    moved = await world.append(ClockAdvanced(offset_ms=HOUR_MS), partition_subject(elsewhere))
    await connection.folded(moved.at)
    found = (await status(connection)).read_model
    assert found is not None
    assert found.unanswered_by_ai.oldest_seconds == pytest.approx(3600, abs=30)
    assert (await count(connection.database)).oldest_unanswered_seconds == pytest.approx(3600, abs=30)


async def test_a_partition_that_was_never_folded_had_no_tick(world: World, connection: Connection) -> None:
    """Its neighbours' ticks say nothing about it."""
    for partition in range(PARTITIONS):
        ticked = await world.tick(partition)
        await connection.folded(ticked.at)
    everywhere = (await status(connection)).read_model
    assert everywhere is not None
    async with world.database.transaction() as writing:
        await writing.execute("DELETE FROM checkpoints WHERE partition = $1", PARTITIONS - 1)
    found = (await status(connection)).read_model
    assert found is not None
    assert (everywhere.tick_age_seconds is None, found.tick_age_seconds) == (False, None)


async def test_replies_that_wait_and_sends_that_nobody_can_tell_about_are_counted(world: World, connection: Connection) -> None:
    await world.answered(THREAD, "Hello.")
    await world.answered(OTHER, "Hello.", reply="r2")
    await world.append(SendStarted(reply="r2", part=0, attempt="a1"), OTHER)
    await world.append(SendUnconfirmed(reply="r2", part=0, attempt="a1"), OTHER)
    await world.state(THREAD)
    await world.state(OTHER)
    found = (await status(connection)).read_model
    assert found is not None
    assert (found.unsent.number, found.unconfirmed.number) == (1, 1)


async def test_open_dead_letters_are_counted_by_group_and_skipped_events_too(world: World, connection: Connection) -> None:
    for number in range(2):
        asked = await world.write(thread_of(number))
        dead = EventDeadLettered(event=asked.event.id, group="responder", attempts=5, error="E", fingerprint="f")
        await world.append(dead, thread_of(number))
    world.log.append_bytes(partition_of(THREAD, PARTITIONS), b"nonsense")
    await world.state(THREAD)
    await world.state(OTHER)
    found = (await status(connection)).read_model
    assert found is not None
    assert {group: waiting.number for group, waiting in found.dead_letters.items()} == {"responder": 2}
    assert found.skipped_events == 1


async def test_without_postgres_the_log_is_shown_all_the_same(world: World) -> None:
    database = Database(NOWHERE)
    found = await status(Connection(world.log, database))
    assert set(found.problems) == {"read_model"}
    assert found.read_model is None
    assert found.log is not None
    assert list(found.log.lags) == ["responder", "sender"]
    await database.close()


async def test_a_log_that_nobody_started_is_told_and_stays_empty(redis_url: str, redis: Client, empty_database_url: str) -> None:
    settings = Settings(_env_file=None, redis_url=redis_url, database_url=empty_database_url)
    async with connected(settings) as connection:
        found = await status(connection)
    assert "nobody has started it" in found.problems["log"]
    assert found.log is None
    assert found.read_model is not None
    assert await redis.dbsize() == 0


async def test_a_database_without_tables_is_told_with_the_remedy(world: World, database_url: str) -> None:
    database = Database(database_url)
    found = await status(Connection(world.log, database))
    await database.close()
    assert "prosa migrate" in found.problems["read_model"]
    tables = await asyncpg.connect(database_url)
    assert await tables.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'prosa'") == 0
    await tables.close()


async def test_every_name_of_the_document_is_documented(world: World, connection: Connection) -> None:
    world.log.held[1] = Holder("w1", 8.0)
    documented = (Path(__file__).parents[2] / "docs" / "status.md").read_text(encoding="utf-8")
    found = document(await status(connection))
    lag = found["log"]["lags"]["sender"][0]
    for name in (*found, *found["log"], *found["read_model"], *lag, *found["log"]["holders"][1], *found["log"]["lags"]):
        assert re.search(rf"\b{name}`", documented), name
