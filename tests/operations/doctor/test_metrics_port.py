"""What the doctor hears of the workers on this machine, each at a port of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

import metrics
from handlers.health import Vitals, served
from operations.doctor import metrics_port as checking
from operations.doctor.findings import Severity
from operations.doctor.metrics_port import metrics_port
from operations.doctor.system import opened
from simulator.servers import free_port
from streams.engines.redis_connection import connect
from streams.engines.redis_leases import RedisLeases
from tests.handlers.raw_server import RawServer, answering, hanging, serving
from tests.operations.doctor.looking import look_at, settings

OK, WARNING = Severity.OK, Severity.WARNING
HOST = "127.0.0.1"
PAUSED = "sender is paused, since everything fails: status 401"
AWAY = "the log does not answer (nothing in 2 s); check REDIS_URL"


@asynccontextmanager
async def working(first: int, *problems_of_each: Sequence[str] | None) -> AsyncIterator[None]:
    """Workers that say what ails them, at one port after the other; at that of None nobody listens."""

    def vitals(ails: Sequence[str]) -> Vitals:
        async def problems() -> Sequence[str]:
            return ails

        return Vitals(metrics.HANDLERS, hung=list, problems=problems, observe=lambda: None)

    async with AsyncExitStack() as stack:
        for port, ails in enumerate(problems_of_each, first):
            if ails is not None:
                await stack.enter_async_context(served(HOST, port, vitals(ails)))
        yield


@pytest.fixture
async def three_workers(redis_url: str) -> str:
    """The address of a log whose partitions are held by three workers, wherever they run."""
    client = connect(redis_url, connections=1, timeout_seconds=3.0)
    for partition, member in enumerate(("one", "two", "three", "two")):
        await RedisLeases(client, member, lease_seconds=60).claim([partition], 1)
    await client.aclose()
    return redis_url


async def test_each_worker_is_asked_at_its_port_and_told_once(three_workers: str) -> None:
    """A fourth port is not theirs."""
    first = free_port(in_a_row=4)
    async with working(first, [], [], [], ["of somebody else's run"]):
        [finding] = (await look_at("metrics port", redis_url=three_workers, metrics_port=first)).of("metrics port")
    assert (finding.severity, finding.sentence) == (OK, f"Health and metrics answer at {HOST}:{first}-{first + 2}.")


async def test_what_ails_a_worker_other_than_the_first_is_told_with_its_port_and_remedy(three_workers: str) -> None:
    first = free_port(in_a_row=3)
    async with working(first, [AWAY], [], [AWAY, PAUSED]):
        found = (await look_at("metrics port", redis_url=three_workers, metrics_port=first)).of("metrics port")
    assert [(each.severity, each.sentence, each.remedy) for each in found[1:]] == [
        (WARNING, f"Not ready at {HOST}:{first},{first + 2}: the log does not answer (nothing in 2 s).", "check REDIS_URL"),
        (WARNING, f"Not ready at {HOST}:{first + 2}: {PAUSED}.", "its log lines say more"),
    ]
    assert found[0].sentence.endswith(f":{first}-{first + 2}.")


async def test_a_worker_that_hangs_is_told(three_workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "PROBE_SECONDS", 0.3)
    async with serving(hanging) as hung:
        found = await look_at("metrics port", redis_url=three_workers, metrics_port=port_of(hung))
    assert found.severities("metrics port") == [WARNING]
    assert "start it again" in found.told("metrics port")


async def test_a_worker_that_is_missing_is_told_where_all_run_here_and_only_there(three_workers: str, tmp_path: Path) -> None:
    """Of production they may run on other machines, and another program may have a port there; those of `prosa dev` run here."""
    first = free_port(in_a_row=3)
    wanted = settings(redis_url=three_workers, metrics_port=first)
    async with working(first, [], None, []):
        async with opened(wanted) as system:
            [there] = await metrics_port(system)
        async with opened(wanted, directory=tmp_path) as system:
            also, here = await metrics_port(system)
    assert there == also
    assert there.sentence == f"Health and metrics answer at {HOST}:{first},{first + 2}."
    assert (here.severity, here.sentence) == (WARNING, f"No health and metrics answer at {HOST}:{first + 1}.")


async def test_a_metrics_port_of_somebody_else_is_told() -> None:
    async with serving(answering(200, {"hello": "world"})) as other:
        found = await look_at("metrics port", metrics_port=port_of(other))
    assert "set METRICS_PORT" in found.told("metrics port")
    assert (await look_at("metrics port", metrics_port=0)).severities("metrics port") == [WARNING]


async def test_metrics_that_nobody_serves_are_never_called_well(tmp_path: Path) -> None:
    assert (await look_at("metrics port")).of("metrics port") == []
    nowhere = settings()
    async with opened(nowhere, directory=tmp_path) as system:
        [finding] = await metrics_port(system)
    assert (finding.severity, f":{nowhere.metrics_port}." in finding.sentence) == (WARNING, True)


def port_of(server: RawServer) -> int:
    return int(server.url.rpartition(":")[2])
