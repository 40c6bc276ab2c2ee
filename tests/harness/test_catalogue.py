"""Each fault of the list is repeated by its line, and whatever it breaks is well afterwards."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from random import Random

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from projections.migrate import migrate
from simulator.servers import EmbeddedPostgres, EmbeddedValkey, free_port
from tests.acceptance.processes import process_of
from tests.harness.catalogue import FAULTS, Fault, Kind, Needs, Part, Reach, choose, kind_named, parse
from tests.harness.process_faults import cpu_seconds
from tests.harness.proxy import Proxy
from tests.streams.conftest import eventually

SEEDS = range(20)
TROUBLE = (RedisError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)
ENTRIES = 20


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedValkey, EmbeddedPostgres]]:
    directory = tmp_path_factory.mktemp("servers")
    valkey, postgres = EmbeddedValkey(directory / "valkey", free_port()), EmbeddedPostgres(directory / "postgres", free_port())
    for server in (valkey, postgres):
        server.start()
    migrate(postgres.url)
    asyncio.run(_begin(postgres.url))
    yield valkey, postgres
    for server in (postgres, valkey):
        server.stop()


async def _begin(url: str) -> None:
    """A row for the faults that show only to who writes one."""
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO prosa.checkpoints (partition, epoch, position, state) VALUES (0, 1, 0, '{}')")
    await connection.close()


@dataclass
class Patient:
    """Everything that a fault can reach, with something behind each link."""

    reach: Reach
    echo: asyncio.Server
    children: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def is_well(self) -> bool:
        """The log takes an entry, Postgres a row, and words go both ways on each link."""
        try:
            async with asyncio.timeout(2), Redis.from_url(self.reach.redis_url) as redis:
                await redis.xadd("prosa:log:9", {"another": "entry"})
            connection = await asyncpg.connect(self.reach.database_url, timeout=2)
            try:
                await connection.execute("UPDATE prosa.checkpoints SET updated_at = now()", timeout=2)
            finally:
                connection.terminate()
            return all([await _answers(proxy) for proxy in self.reach.links.values()])
        except TROUBLE:
            return False

    async def entries(self) -> int:
        async with Redis.from_url(self.reach.redis_url) as redis:
            return int(sum([await redis.xlen(f"prosa:log:{number}") for number in range(4)]))


@pytest.fixture
async def patient(servers: tuple[EmbeddedValkey, EmbeddedPostgres]) -> AsyncIterator[Patient]:
    valkey, postgres = servers
    async with AsyncExitStack() as stack:
        echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
        stack.callback(echo.close)
        target = f"127.0.0.1:{echo.sockets[0].getsockname()[1]}"
        links: dict[Part, Proxy] = {}
        for part in set(Part) - {Part.PROCESS}:
            links[part] = await stack.enter_async_context(Proxy(target))
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
        stack.push_async_callback(_bury, child)
        process = process_of(child.pid)
        assert process is not None
        reach = Reach(valkey.url, postgres.url, links, lambda: [process], valkey, postgres)
        async with Redis.from_url(valkey.url) as redis:
            await redis.flushall()
            for number in range(ENTRIES):
                await redis.xadd(f"prosa:log:{number % 4}", {"number": number})
            for number in range(4):
                for group in ("responder", "sender"):
                    await redis.xgroup_create(f"prosa:log:{number}", group, "0")
        yield Patient(reach, echo, [child])


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - repeatable


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while heard := await reader.read(1024):
            writer.write(heard)
    writer.close()


async def _answers(proxy: Proxy) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(b"words")
        async with asyncio.timeout(2):
            return await reader.readexactly(5) == b"words"
    except EOFError:
        return False
    finally:
        writer.transport.abort()


async def _bury(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    await child.wait()


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.name)
def test_its_line_repeats_a_fault(kind: Kind) -> None:
    drawn = [kind.chosen(seeded(seed)) for seed in SEEDS]
    assert [parse(str(fault)) for fault in drawn] == drawn
    assert [kind.chosen(seeded(seed)) for seed in SEEDS] == drawn
    assert len({str(fault) for fault in drawn}) > 5
    assert all(kind.seconds[0] <= fault.seconds <= kind.seconds[1] + 0.1 for fault in drawn)


def test_one_seed_chooses_one_fault_and_many_seeds_choose_all_kinds() -> None:
    assert choose(seeded(5)) == choose(seeded(5))
    assert {choose(seeded(seed)).kind.name for seed in range(2000)} == {kind.name for kind in FAULTS}
    assert len({kind.name for kind in FAULTS}) == len(FAULTS)


def test_what_is_not_named_is_the_first_choice() -> None:
    assert str(parse("postgres_raising()")) == "postgres_raising(code=40001, at=1, times=1, seconds=0.5)"


@pytest.mark.parametrize(
    ("spec", "mistake"),
    [
        ("log_readonly", "is not a fault"),
        ("log_melted(seconds=1)", "there is no fault 'log_melted'"),
        ("log_readonly(minutes=1)", "has no minutes; it has seconds"),
        ("log_readonly(seconds)", "'seconds' has no value"),
        ("postgres_raising(at=often)", "invalid literal"),
    ],
)
def test_a_line_that_means_nothing_is_refused(spec: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        parse(spec)


def test_what_is_not_there_is_not_broken() -> None:
    nothing = Reach("redis://127.0.0.1:1", "postgresql://127.0.0.1:1/none")
    assert {kind.needs for kind in FAULTS if kind.fits(nothing)} == {Needs.DATABASE}


@pytest.mark.parametrize(
    "kind", [kind for kind in FAULTS if kind.needs is not Needs.LINK or kind.breaks is Part.TWILIO], ids=lambda kind: kind.name
)
async def test_what_it_breaks_is_well_afterwards_and_nothing_is_lost_that_may_not_be(kind: Kind, patient: Patient) -> None:
    assert kind.fits(patient.reach)
    fault = Fault(kind, 0.3, kind.chosen(seeded(3)).values)
    async with fault.on(patient.reach):
        pass
    await eventually(patient.is_well)
    if not kind.may_lose:
        assert await patient.entries() == ENTRIES


MAY_GO_ON = {
    "log_fsync_changed",
    "log_clients_ended",
    "log_flushed",
    "log_stream_deleted",
    "log_group_destroyed",
    "log_tail_cut",
    "postgres_sessions_ended",
    "postgres_session_killed",
    "postgres_deadlock",
}
"""What is over in a moment, or shows to nobody who only writes a row."""


@pytest.mark.parametrize(
    "kind",
    [kind for kind in FAULTS if kind.needs in (Needs.VALKEY, Needs.POSTGRES, Needs.DATABASE) and kind.name not in MAY_GO_ON],
    ids=lambda kind: kind.name,
)
async def test_while_it_lasts_something_is_broken(kind: Kind, patient: Patient) -> None:
    async with Fault(kind, 2.5, parse(f"{kind.name}()").values).on(patient.reach):
        assert not await patient.is_well()


async def test_a_process_is_found_by_its_number(patient: Patient) -> None:
    [process] = patient.reach.processes()
    async with parse("process_stopped(number=3)").on(patient.reach):
        before = cpu_seconds(process)
        await asyncio.sleep(0.1)
        assert cpu_seconds(process) == before
    async with parse("process_killed(number=2)").on(patient.reach):
        assert await patient.children[0].wait() == -9


def test_a_kind_is_found_by_its_name() -> None:
    assert all(kind_named(kind.name) is kind for kind in FAULTS)
