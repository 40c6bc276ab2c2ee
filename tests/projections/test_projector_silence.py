"""A projector that falls silent holds the next owner of its partitions up only briefly, wherever it was."""

import asyncio

import pytest

from projections import database as database_module
from projections import projector as projector_module
from projections.database import Database
from projections.projector import CheckpointMoved
from streams.errors import ReadModelUnavailable
from tests.projections.random_log import random_log
from tests.projections.read_model import HOUR_MS, Log, Projecting, assert_means, dump, empty, thread_in
from tests.projections.still_wire import StillWire

HELD_UP_SECONDS = 4.0
SILENCE_SECONDS = 0.0

WORKING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND state <> 'idle' AND wait_event_type IS DISTINCT FROM 'Client'
"""


def short_log() -> Log:
    """Two threads, of which a tick closes one that the rest of the batch does not name."""
    log = Log()
    log.receive(thread_in(0), "SM1")
    log.receive(thread_in(1), "SM2")
    log.wait(72 * HOUR_MS)
    log.receive(thread_in(0), "SM3")
    log.tick(1)
    return log


async def all_wait_for_their_clients(database: Database) -> None:
    async with asyncio.timeout(HELD_UP_SECONDS), database.transaction() as connection:
        while await connection.fetchval(WORKING):
            await connection.execute("SELECT pg_stat_clear_snapshot()")


@pytest.mark.parametrize("keeps_statements", [True, False], ids=["direct", "behind a transaction pooler"])
async def test_who_falls_silent_between_any_two_packets_holds_the_next_owner_up_only_briefly(
    read_model_url: str, database: Database, monkeypatch: pytest.MonkeyPatch, *, keeps_statements: bool
) -> None:
    """
    Between a parse and its bind no limit of Postgres applies: neither that of a silent transaction nor that of a statement.

    So the others' limits are out of the way here, and the next owner has to help itself.
    """
    monkeypatch.setattr(projector_module, "SILENCE_OF_OTHERS_SECONDS", SILENCE_SECONDS)
    monkeypatch.setattr(projector_module, "SILENCE_SECONDS", 600.0)
    monkeypatch.setattr(database_module, "COMMAND_TIMEOUT_SECONDS", 600.0)
    if not keeps_statements:
        monkeypatch.setattr(database_module, "TRANSACTION_POOLER_PORT", 0)
        monkeypatch.setattr(database_module, "_is_transaction_pooler", lambda _: True)
    log = short_log()
    chunks = held = 0
    while True:
        async with StillWire(read_model_url).open() as wire:
            await empty(database)
            suspended_database = Database(wire.url, max_connections=1)
            suspended, next_owner = Projecting(suspended_database), Projecting(database)
            await next_owner.catch_up(log.records[:2])
            await suspended.catch_up([])
            wire.stand_after(chunks)
            suspension = asyncio.create_task(suspended.projector.project(log.records[2:]))
            stands = asyncio.create_task(wire.stands.wait())
            await asyncio.wait([suspension, stands], return_when=asyncio.FIRST_COMPLETED)
            if suspension.done():
                await suspended_database.close()
                break
            await all_wait_for_their_clients(database)
            async with asyncio.timeout(HELD_UP_SECONDS):
                await next_owner.catch_up(log.records)
            after = await dump(database)
            wire.go_on()
            with pytest.raises((CheckpointMoved, ReadModelUnavailable)) as raised:
                await suspension
            held += raised.type is ReadModelUnavailable
            assert await dump(database) == after
            await suspended_database.close()
        chunks += 1
    await assert_means(database, log.records)
    assert held >= 8, "it was ended wherever it held the lock"


async def test_a_predecessor_at_work_is_left_alone(database: Database, read_model_url: str) -> None:
    """It finishes, and the next owner goes on after it: two seconds of a slow statement are no silence."""
    log = random_log(3, steps=40)
    slow = Database(read_model_url, max_connections=1)
    predecessor, next_owner = Projecting(slow), Projecting(database)
    await predecessor.catch_up(log.records[:10])
    async with slow.transaction() as connection:
        await connection.execute("SELECT FROM checkpoints FOR UPDATE")
        work = asyncio.create_task(connection.execute("SELECT pg_sleep(2)"))
        await asyncio.wait_for(next_owner.projector.positions(range(1)), HELD_UP_SECONDS)
        await work
    await slow.close()


async def test_who_waits_for_a_lock_asks_again_instead_of_waiting_on(database: Database, read_model_url: str) -> None:
    """Its holder may have fallen silent meanwhile; only who asks for the positions again finds that out."""
    log = random_log(3, steps=40)
    rival, owner = Database(read_model_url, max_connections=1), Projecting(database)
    await owner.catch_up([])

    async def fall_silent_and_wait() -> None:
        async with rival.transaction() as connection:
            await connection.execute("SELECT FROM checkpoints FOR UPDATE")
            with pytest.raises(ReadModelUnavailable, match="LockNotAvailable"):
                await asyncio.wait_for(owner.projector.project(log.records), 10)
            await asyncio.wait_for(owner.catch_up(log.records), HELD_UP_SECONDS)

    with pytest.raises(ReadModelUnavailable, match="Interface"):
        await fall_silent_and_wait()
    await assert_means(database, log.records)
    await rival.close()
