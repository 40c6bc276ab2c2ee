"""State, events and checkpoint stand together or not at all, whatever ends a transaction and wherever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from projections import projector
from projections.database import Connection, Database
from projections.projector import CheckpointMoved
from streams.errors import CheckpointAhead, ReadModelUnavailable, TransientError
from tests.projections.faults import FaultyDatabase, ForgetfulDatabase, Statements, terminate
from tests.projections.random_log import random_log
from tests.projections.read_model import PARTITIONS, Log, Projecting, assert_means, dump, empty, positions_in, thread_in

ALL = range(PARTITIONS)
THREAD = thread_in(0)


@pytest.fixture
async def faulty(read_model_url: str) -> AsyncIterator[FaultyDatabase]:
    database = FaultyDatabase(read_model_url, max_connections=1)
    yield database
    await database.close()


@pytest.fixture
async def rival(read_model_url: str) -> AsyncIterator[Database]:
    """The database as another process sees it."""
    database = Database(read_model_url)
    yield database
    await database.close()


async def test_a_session_killed_at_any_statement_leaves_all_or_nothing_and_heals(
    faulty: FaultyDatabase, read_model_url: str
) -> None:
    log = random_log(7, steps=80)
    half = len(log.records) // 2

    async def kill(connection: Connection) -> None:
        await terminate(read_model_url, await connection.fetchval("SELECT pg_backend_pid()"))

    killed = 0
    while True:
        faulty.watch(None)
        await empty(faulty)
        projecting = Projecting(faulty)
        await projecting.catch_up(log.records[:half])
        before = await dump(faulty)

        statements = Statements(killed + 1, kill)
        faulty.watch(statements)
        try:
            await projecting.projector.project(log.records[half:])
        except ReadModelUnavailable:
            killed += 1
        else:
            break
        faulty.watch(None)
        assert await dump(faulty) == before
        await projecting.catch_up(log.records)
        await assert_means(faulty, log.records)

    assert killed == statements.count >= 8


async def test_a_projection_cancelled_at_any_statement_leaves_nothing_and_a_usable_connection(faulty: FaultyDatabase) -> None:
    log = random_log(11, steps=80)
    await Projecting(faulty).catch_up([])
    before = await dump(faulty)
    cancelled = 0
    while True:
        projecting = Projecting(faulty)
        await projecting.catch_up([])

        async def cancel(connection: Connection) -> None:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            await connection.fetchval("SELECT pg_sleep(60)")

        statements = Statements(cancelled + 1, cancel)
        faulty.watch(statements)
        try:
            await asyncio.create_task(projecting.projector.project(log.records))
        except asyncio.CancelledError:
            cancelled += 1
        else:
            break
        faulty.watch(None)
        assert await dump(faulty) == before

    assert cancelled == statements.count >= 8
    faulty.watch(None)
    await assert_means(faulty, log.records)


async def test_a_commit_whose_answer_was_lost_is_not_made_again(read_model_url: str) -> None:
    log = random_log(3)
    half = len(log.records) // 2
    database = ForgetfulDatabase(read_model_url)
    projecting = Projecting(database)
    await projecting.catch_up([])

    database.loses_answers = True
    with pytest.raises(ReadModelUnavailable):
        await projecting.projector.project(log.records[:half])
    database.loses_answers = False
    with pytest.raises(CheckpointMoved):
        await projecting.projector.project(log.records[:half])
    await projecting.catch_up(log.records)

    await assert_means(database, log.records)
    await database.close()


async def test_a_checkpoint_that_another_moved_is_left_alone_and_the_way_on_is_right(database: Database, rival: Database) -> None:
    log = random_log(5, steps=90)
    third = len(log.records) // 3
    mine, theirs = Projecting(database), Projecting(rival)
    await mine.catch_up(log.records[:third])
    await theirs.catch_up(log.records[: 2 * third])
    moved = await dump(database)

    with pytest.raises(CheckpointMoved) as raised:
        await mine.projector.project(log.records[third:])
    assert isinstance(raised.value, TransientError)
    assert await dump(database) == moved

    await mine.catch_up(log.records)
    await assert_means(database, log.records)


async def test_commits_that_postgres_lost_are_made_again(database: Database, rival: Database) -> None:
    log = random_log(6, steps=90)
    third = len(log.records) // 3
    mine = Projecting(database)
    await mine.catch_up(log.records[: 2 * third])
    await empty(database)
    await Projecting(rival).catch_up(log.records[:third])

    with pytest.raises(CheckpointMoved):
        await mine.projector.project(log.records[2 * third :])
    await mine.catch_up(log.records)

    await assert_means(database, log.records)


@pytest.mark.parametrize("seed", range(4))
async def test_two_projectors_on_the_same_partitions_neither_double_nor_lose(
    database: Database, rival: Database, seed: int
) -> None:
    log = random_log(seed, steps=120)
    collisions = 0

    async def project_all(projecting: Projecting) -> None:
        nonlocal collisions
        while await positions_in(database) != {record.partition: record.position for record in log.records}:
            try:
                await projecting.catch_up(log.records, batch=2)
            except CheckpointMoved:
                collisions += 1

    await asyncio.wait_for(asyncio.gather(project_all(Projecting(database)), project_all(Projecting(rival))), 60)

    assert collisions
    await assert_means(database, log.records)


async def test_a_projector_suspended_inside_its_transaction_does_not_stop_the_next_owner(
    faulty: FaultyDatabase, rival: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "SILENCE_SECONDS", 0.2)
    log = Log()
    log.receive(THREAD, "SM1")
    inside, awake = asyncio.Event(), asyncio.Event()

    async def sleep(_: Connection) -> None:
        inside.set()
        await awake.wait()

    suspended, next_owner = Projecting(faulty), Projecting(rival)
    await suspended.catch_up([])
    await next_owner.catch_up([])
    faulty.watch(Statements(6, sleep))
    suspension = asyncio.create_task(suspended.projector.project(log.records))
    await inside.wait()

    await asyncio.wait_for(next_owner.projector.project(log.records), 10)
    awake.set()

    with pytest.raises(ReadModelUnavailable):
        await suspension
    faulty.watch(None)
    await assert_means(rival, log.records)


async def test_a_checkpoint_of_another_epoch_is_refused(database: Database) -> None:
    await Projecting(database).catch_up([])

    with pytest.raises(CheckpointAhead, match="epoch 1, the log of epoch 2"):
        await Projecting(database, epoch=2).projector.positions(ALL)
