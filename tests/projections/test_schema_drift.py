"""Code and tables of different ages: they go together, or say what to do, and nothing is lost while they do not."""

import asyncio

import asyncpg
import pytest

from projections.database import Database
from projections.migrate import migrate, migrations_after, migrations_as_sql
from projections.reader import Reader
from streams.errors import ReadModelUnavailable
from tests.projections.random_log import THREADS, random_log
from tests.projections.read_model import PARTITIONS, Projecting, assert_means

NEWER = """
DO $$ DECLARE each regclass; BEGIN
    FOR each IN SELECT oid FROM pg_class
        WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN from_tomorrow text DEFAULT ''x''', each);
    END LOOP;
END $$;
CREATE TABLE prosa.of_tomorrow (id bigint PRIMARY KEY);
CREATE INDEX found_tomorrow ON prosa.messages (owner, from_tomorrow);
"""

OLDER = migrations_after(None)[:-1]


async def test_the_code_of_today_serves_the_tables_of_tomorrow(database_url: str) -> None:
    """What a migration adds, with a default or none, is nothing to who does not know it: also in the middle of the work."""
    log = random_log(51, steps=120)
    half = len(log.records) // 2
    await asyncio.to_thread(migrate, database_url)
    database = Database(database_url)
    projecting, reader = Projecting(database), Reader(database)
    await projecting.catch_up(log.records[:half])
    await execute(database_url, NEWER)

    try:
        await projecting.projector.project(log.records[half:])
    except ReadModelUnavailable:  # once: what was prepared before the change
        await projecting.catch_up(log.records)
    await assert_means(database, log.records)
    for partition in range(PARTITIONS):
        await reader.view(partition, THREADS[0])
        await reader.awaiting_answer(partition, log.now_ms, limit=20)
        await reader.awaiting_send(partition, log.now_ms, limit=20)
    await database.close()


@pytest.mark.parametrize("revision", OLDER)
async def test_the_code_of_today_serves_the_tables_of_yesterday_or_names_the_command(database_url: str, revision: str) -> None:
    """And goes on by itself once they are migrated under it."""
    log = random_log(52)
    await execute(database_url, up_to(revision))
    database = Database(database_url)
    projecting = Projecting(database)
    (outcome,) = await asyncio.gather(projecting.catch_up(log.records[:20]), return_exceptions=True)
    assert outcome is None or "prosa migrate" in str(outcome)

    await asyncio.to_thread(migrate, database_url)

    await projecting.catch_up(log.records)
    await assert_means(database, log.records)
    await database.close()


def up_to(revision: str) -> str:
    """The plain SQL of every migration up to this one."""
    whole = migrations_as_sql()
    return whole[: whole.index(f"-- Running upgrade {revision} -> ")] + "COMMIT;"


async def execute(url: str, script: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
