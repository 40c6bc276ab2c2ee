"""Who waits for a position is woken by the projector of its own process at once, by another's soon."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from projections import progress
from projections.database import Connection, Database
from streams.errors import ReadModelUnavailable
from tests.projections.faults import FaultyDatabase, Statements
from tests.projections.read_model import Log, Projecting, empty, positions_in, thread_in
from tests.streams.conftest import eventually

THREAD = thread_in(0)


class CountingDatabase(Database):
    """Counts the transactions."""

    transactions = 0

    def transaction(self, *, readonly: bool = False) -> AbstractAsyncContextManager[Connection]:  # type: ignore[override]
        self.transactions += 1
        return super().transaction(readonly=readonly)


@pytest.fixture
async def counting(read_model_url: str) -> AsyncIterator[CountingDatabase]:
    database = CountingDatabase(read_model_url)
    yield database
    await database.close()


@pytest.fixture
def log() -> Log:
    log = Log()
    for number in range(3):
        log.receive(THREAD, f"SM{number}")
    return log


async def test_the_projector_of_this_process_wakes_a_waiter_at_once(
    database: Database, projecting: Projecting, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 3600)
    await projecting.catch_up(log.records[:1])
    waiting = asyncio.create_task(projecting.progress.reached(0, 3))
    await projecting.projector.project(log.records[1:2])
    assert not waiting.done()

    await projecting.projector.project(log.records[2:])
    for _ in range(3):  # turns of the loop
        await asyncio.sleep(0)

    assert waiting.done()
    assert (await positions_in(database))[0] == 3


async def test_a_position_already_reached_costs_no_look(counting: CountingDatabase, log: Log) -> None:
    projecting = Projecting(counting)
    await projecting.catch_up(log.records)
    before = counting.transactions

    await projecting.progress.reached(0, 3)

    assert counting.transactions == before


async def test_a_projector_elsewhere_is_found_by_looking(database: Database, projecting: Projecting, log: Log) -> None:
    here = progress.Progress(database)
    waiting = asyncio.create_task(here.reached(0, 3))

    await projecting.catch_up(log.records)

    await asyncio.wait_for(waiting, 10)


async def test_a_checkpoint_that_nobody_made_yet_is_waited_for(database: Database, projecting: Projecting, log: Log) -> None:
    await empty(database)
    waiting = asyncio.create_task(progress.Progress(database).reached(0, 1))
    await asyncio.sleep(0)

    await projecting.catch_up(log.records)

    await asyncio.wait_for(waiting, 10)


async def test_however_many_wait_one_task_looks(
    counting: CountingDatabase, projecting: Projecting, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.2)
    here = progress.Progress(counting)
    began = time.monotonic()
    waiting = [asyncio.create_task(here.reached(partition, 1)) for partition in (0, 1) for _ in range(200)]
    log.receive(thread_in(1), "SM-elsewhere")
    await asyncio.sleep(0)
    await projecting.catch_up(log.records)

    await asyncio.wait_for(asyncio.gather(*waiting), 20)

    assert counting.transactions <= 1 + (time.monotonic() - began) / 0.2


async def test_nobody_looks_while_nobody_waits(counting: CountingDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.001)
    here = progress.Progress(counting)
    waiting = asyncio.create_task(here.reached(0, 1))
    await eventually(lambda: counting.transactions > 0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    looking = {task for task in asyncio.all_tasks() if task.get_name() == "progress: look up"}
    _, pending = await asyncio.wait(looking, timeout=10)
    assert looking
    assert not pending


async def test_who_waits_is_told_that_postgres_is_away_and_may_wait_again(
    read_model_url: str, projecting: Projecting, log: Log
) -> None:
    async def fail(_: Connection) -> None:
        raise ConnectionResetError

    faulty = FaultyDatabase(read_model_url)
    faulty.watch(Statements(1, fail))
    here = progress.Progress(faulty)

    waiting = asyncio.gather(here.reached(0, 3), here.reached(0, 2), return_exceptions=True)
    failures = await asyncio.wait_for(waiting, 10)
    assert [type(failure) for failure in failures] == [ReadModelUnavailable, ReadModelUnavailable]

    await projecting.catch_up(log.records)
    await asyncio.wait_for(here.reached(0, 3), 10)
    await faulty.close()


async def test_what_is_forgotten_is_looked_up_again(counting: CountingDatabase, log: Log) -> None:
    projecting = Projecting(counting)
    await projecting.catch_up(log.records)
    projecting.progress.forget(0)
    before = counting.transactions

    await asyncio.wait_for(projecting.progress.reached(0, 3), 10)

    assert counting.transactions > before


async def test_a_checkpoint_that_went_back_is_waited_for_anew(database: Database, projecting: Projecting, log: Log) -> None:
    """Postgres lost commits: what this process remembers is no longer so."""
    await projecting.catch_up(log.records)
    await empty(database)
    await projecting.projector.positions([0])
    waiting = asyncio.create_task(projecting.progress.reached(0, 3))
    await asyncio.sleep(progress.POLL_SECONDS * 2)
    assert not waiting.done()

    await projecting.catch_up(log.records)

    await asyncio.wait_for(waiting, 10)


async def test_a_look_that_is_older_than_the_projectors_word_takes_nothing_back(database: Database) -> None:
    here = progress.Progress(database)
    here.moved({0: 7})
    here.moved({0: 5})

    await asyncio.wait_for(here.reached(0, 7), 1)
