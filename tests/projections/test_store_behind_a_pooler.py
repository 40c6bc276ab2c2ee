"""Everything works through a transaction pooler, where no session outlives a transaction."""

import asyncio

import asyncpg
import pytest

from projections import database as database_module
from projections.database import Database
from projections.migrate import migrate
from projections.reader import Reader
from tests.projections.pooler import TransactionPooler
from tests.projections.random_log import THREADS, random_log
from tests.projections.read_model import PARTITIONS, Projecting, assert_means, dump


async def test_projector_reader_and_progress_work_behind_a_transaction_pooler(
    read_model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = random_log(31, steps=120)
    async with TransactionPooler(read_model_url).running() as pooler:
        monkeypatch.setattr(database_module, "TRANSACTION_POOLER_PORT", pooler.port)
        database = Database(pooler.pooled_url, max_connections=4)
        reader, projecting = Reader(database), Projecting(database)
        waiting = asyncio.create_task(projecting.progress.reached(0, 1))

        async def read() -> None:
            for _ in range(5):
                await asyncio.gather(*(reader.view(partition, THREADS[0]) for partition in range(PARTITIONS)))

        await asyncio.gather(projecting.catch_up(log.records, batch=10), read(), read())
        await waiting
        await assert_means(database, log.records)
        await database.close()

    assert pooler.swaps > 50


async def test_the_pooler_of_this_test_does_break_prepared_statements(read_model_url: str) -> None:
    """Else the law above would prove nothing."""
    async with TransactionPooler(read_model_url).running() as pooler:
        first, second = [await asyncpg.connect(pooler.pooled_url) for _ in range(2)]
        await first.fetch("SELECT $1::integer", 1)
        with pytest.raises((asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)):
            await first.fetch("SELECT $1::integer", 2)
        first.terminate()
        second.terminate()


async def test_migrations_work_behind_a_transaction_pooler(database_url: str) -> None:
    async with TransactionPooler(database_url).running() as pooler:
        for _ in range(2):
            await asyncio.to_thread(migrate, pooler.pooled_url)

    database = Database(database_url)
    assert (await dump(database))["events"] == []
    await database.close()
