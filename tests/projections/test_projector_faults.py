"""Whatever Postgres answers, and whoever else writes: rows are what the log says, once, and the way on is found alone."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from projections import projector
from projections.database import Connection, Database
from projections.migrate import migrate
from projections.projector import CheckpointMoved
from simulator.servers import EmbeddedPostgres, free_port
from streams.consumer import BatchConsumer
from streams.engines.memory import MemoryEventLog, MemoryOwnership
from streams.errors import ReadModelUnavailable
from streams.log import Record
from tests.projections.faults import FaultyDatabase, Statements
from tests.projections.random_log import random_log
from tests.projections.read_model import PARTITIONS, Projecting, assert_means, dump, empty, positions_in
from tests.projections.roles import member_of
from tests.streams.conftest import eventually

ALL = range(PARTITIONS)
LIVE_ENTRIES = 600
LIVE_KILLS = 8

PASSING = {
    "serialization failure": "40001",
    "deadlock": "40P01",
    "disk full": "53100",
    "too many connections": "53300",
    "statement cancelled": "57014",
}


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


# ------------------------------------------------------------------------------------------------ what Postgres answers


@pytest.mark.parametrize("state", PASSING.values(), ids=PASSING.keys())
async def test_an_error_of_the_server_at_any_statement_leaves_nothing_and_heals(faulty: FaultyDatabase, state: str) -> None:
    log = random_log(31, steps=60)
    half = len(log.records) // 2

    async def fail(connection: Connection) -> None:
        await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")

    await empty(faulty)
    projecting = Projecting(faulty)
    await projecting.catch_up(log.records[:half])
    before, failed = await dump(faulty), 0
    while True:
        statements = Statements(failed + 1, fail)
        faulty.watch(statements)
        try:
            await projecting.projector.project(log.records[half:])
        except ReadModelUnavailable:
            failed += 1
        else:
            break
        faulty.watch(None)
        assert await dump(faulty) == before

    faulty.watch(None)
    assert failed == statements.count >= 8
    await assert_means(faulty, log.records)


REFUSED_COMMIT = """
CREATE FUNCTION prosa.refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$;
CREATE CONSTRAINT TRIGGER refused AFTER UPDATE ON prosa.checkpoints
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION prosa.refuse();
"""
ALLOWED_COMMIT = "DROP TRIGGER refused ON prosa.checkpoints; DROP FUNCTION prosa.refuse()"


@pytest.mark.parametrize("state", ["40001", "53100"], ids=["serialization failure", "disk full"])
async def test_a_commit_that_is_refused_leaves_nothing_and_heals(database: Database, read_model_url: str, state: str) -> None:
    log = random_log(32)
    projecting = Projecting(database)
    await projecting.catch_up([])
    before = await dump(database)
    administrator = await asyncpg.connect(read_model_url)
    await administrator.execute(REFUSED_COMMIT.format(state=state))
    try:
        for _ in range(3):
            with pytest.raises(ReadModelUnavailable):
                await projecting.projector.project(log.records)
            assert await dump(database) == before
    finally:
        await administrator.execute(ALLOWED_COMMIT)
        await administrator.close()

    await projecting.projector.project(log.records)
    await assert_means(database, log.records)


async def test_a_server_without_a_free_connection_is_an_outage_and_ends_with_it(read_model_url: str) -> None:
    log = random_log(33)
    async with member_of(read_model_url, "prosa_app") as url:
        administrator = await asyncpg.connect(read_model_url)
        await administrator.execute(f"ALTER ROLE {url.split('//')[1].split(':')[0]} CONNECTION LIMIT 1")
        await administrator.close()
        other, ours = await asyncpg.connect(url), Database(url, max_connections=1)
        projecting = Projecting(ours)
        with pytest.raises(ReadModelUnavailable, match="TooManyConnections"):
            await projecting.catch_up(log.records)
        await other.close()

        async def catches_up() -> bool:
            try:
                await projecting.catch_up(log.records)
            except ReadModelUnavailable:
                return False
            return True

        await eventually(catches_up)
        await assert_means(ours, log.records)
        await ours.close()


# ----------------------------------------------------------------------------------------------------- whoever else writes


async def test_projectors_that_take_the_partitions_in_opposite_order_never_lock_each_other_up(
    database: Database, rival: Database
) -> None:
    """Their batches hold the same entries; one of the two is told that the checkpoints moved, and neither of a deadlock."""
    log = random_log(34, steps=240)
    mine, theirs = Projecting(database), Projecting(rival)
    moved = 0
    for begin in range(0, len(log.records), 8):
        part = log.records[begin : begin + 8]
        forwards = sorted(part, key=lambda record: (record.partition, record.position))
        backwards = sorted(part, key=lambda record: (-record.partition, record.position))
        await asyncio.gather(mine.projector.positions(ALL), theirs.projector.positions(reversed(ALL)))
        outcomes = await asyncio.gather(
            mine.projector.project(forwards), theirs.projector.project(backwards), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} <= {type(None), CheckpointMoved}
        moved += any(isinstance(outcome, CheckpointMoved) for outcome in outcomes)

    assert moved
    await assert_means(database, log.records)


async def test_a_projector_suspended_at_any_statement_commits_nothing_once_another_has_gone_on(
    faulty: FaultyDatabase, rival: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "SILENCE_SECONDS", 0.2)
    log = random_log(35, steps=60)
    half = len(log.records) // 2
    at = 1
    while True:
        faulty.watch(None)
        await empty(faulty)
        suspended, next_owner = Projecting(faulty), Projecting(rival)
        await suspended.catch_up(log.records[:half])
        await next_owner.catch_up(log.records[:half])
        inside, awake = asyncio.Event(), asyncio.Event()

        async def sleep(_: Connection, inside: asyncio.Event = inside, awake: asyncio.Event = awake) -> None:
            inside.set()
            await awake.wait()

        faulty.watch(Statements(at, sleep))
        suspension = asyncio.create_task(suspended.projector.project(log.records[half:]))
        await asyncio.wait([suspension, asyncio.create_task(inside.wait())], return_when=asyncio.FIRST_COMPLETED)
        if suspension.done():
            inside.set()
            await suspension
            break
        await asyncio.wait_for(next_owner.projector.project(log.records[half:]), 10)
        after = await dump(rival)
        awake.set()
        with pytest.raises((CheckpointMoved, ReadModelUnavailable)):
            await suspension
        assert await dump(rival) == after
        at += 1

    faulty.watch(None)
    assert at > 8
    await assert_means(faulty, log.records)


# ------------------------------------------------------------------------------------------------------- a live projector


class Live:
    """A consumer and its projector, as a worker has them, on a log in memory whose clock stands still."""

    def __init__(self, database: Database) -> None:
        self.log = MemoryEventLog(PARTITIONS, clock=lambda: 1_760_000_000_000)
        self.projecting = Projecting(database)
        self._database = database
        self._ownership = MemoryOwnership()
        self._consumer = BatchConsumer(
            self.log, self._ownership, group="projector", positions=self.projecting.projector.positions, batch_size=50
        )

    async def start(self) -> None:
        await self._consumer.start(self.projecting.projector.project)
        self._ownership.gain(*ALL)

    async def stop(self) -> None:
        await self._consumer.stop()

    def append(self, records: list[Record]) -> None:
        for record in records:
            self.log.append_bytes(record.partition, record.value)

    def nudge(self) -> None:
        """One more entry, so that there is always something to do."""
        self.log.append_bytes(0, b"{")

    async def records(self) -> list[Record]:
        return list(await self.log.read(dict.fromkeys(ALL, 0), limit=100_000))

    async def is_caught_up(self) -> bool:
        try:
            found = await positions_in(self._database)
        except ReadModelUnavailable:
            return False
        return found == await self.log.heads()


async def test_sessions_that_are_ended_again_and_again_cost_time_and_nothing_else(read_model_url: str, rival: Database) -> None:
    database = Database(read_model_url, max_connections=2)
    live = Live(database)
    log = random_log(36, steps=LIVE_ENTRIES).records
    live.append(log[: LIVE_ENTRIES // 2])
    administrator = await asyncpg.connect(read_model_url)
    others = await administrator.fetchval("SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = current_database()")
    await live.start()
    killed = 0
    while killed < LIVE_KILLS:
        killed += await administrator.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND NOT pid = ANY ($1) AND state <> 'idle'",
            others,
        )
        live.nudge()
    live.append(log[LIVE_ENTRIES // 2 :])
    await administrator.close()

    await eventually(live.is_caught_up, within_seconds=60)
    await live.stop()
    await assert_means(rival, await live.records())
    await database.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres that this test may stop, and whose files it may change."""
    server = EmbeddedPostgres(tmp_path / "postgres", free_port())
    server.start()
    yield server
    server.stop()


async def test_a_postgres_that_is_restored_from_yesterday_catches_up_by_itself(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Under a projector that runs, remembers newer checkpoints and has newer threads in its cache."""
    log = random_log(38, steps=160)
    third = len(log.records) // 3
    await asyncio.to_thread(migrate, server.url)
    database = Database(server.url)
    live = Live(database)
    live.append(log.records[:third])
    await live.start()
    await eventually(live.is_caught_up)
    yesterday = tmp_path / "yesterday"
    cluster = tmp_path / "postgres" / "cluster"
    server.stop()
    shutil.copytree(cluster, yesterday, copy_function=_copy_with_owner)
    _own_like(cluster, yesterday)
    server.start()
    live.append(log.records[third : 2 * third])
    await eventually(live.is_caught_up, within_seconds=30)

    server.stop()
    shutil.rmtree(cluster)
    yesterday.rename(cluster)
    server.start()
    live.append(log.records[2 * third :])

    await eventually(live.is_caught_up, within_seconds=30)
    await live.stop()
    await assert_means(database, await live.records())
    await database.close()


def _copy_with_owner(source: str, target: str) -> None:
    shutil.copy2(source, target)
    _own_like(Path(source), Path(target))


def _own_like(source: Path, target: Path) -> None:
    """Postgres wants its files to be its own; as root the tests run it as somebody else."""
    owner = source.stat()
    shutil.chown(target, owner.st_uid, owner.st_gid)
    for folder in [each for each in source.rglob("*") if each.is_dir()] if source.is_dir() else []:
        shutil.chown(target / folder.relative_to(source), owner.st_uid, owner.st_gid)
