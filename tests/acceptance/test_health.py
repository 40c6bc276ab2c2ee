"""Health tells the truth: each process says what it lacks, lives meanwhile, and is ready again when it is there."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metrics import Process
from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, free_port
from tests.acceptance.running import prosa
from tests.acceptance.services import Services
from tests.acceptance.vitals import Vitals, of

WEBHOOK, HANDLERS, CLOCK = Process
TURN_SECONDS = 12.0
"""The longest turn of a loop that waits for a log that is away, which it is for longer here."""
QUICK = {"LEASE_SECONDS": "2", "TWILIO_TIMEOUT_SECONDS": "1", "CLOCK_TICK_SECONDS": "0.5"}


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedValkey, EmbeddedPostgres]]:
    """A log and a database without tables."""
    valkey, postgres = EmbeddedValkey(tmp_path / "valkey", free_port()), EmbeddedPostgres(tmp_path / "postgres", free_port())
    valkey.start()
    postgres.start()
    yield valkey, postgres
    postgres.stop()
    valkey.stop()


@contextmanager
def away(server: EmbeddedServer) -> Iterator[None]:
    """Nothing listens there meanwhile."""
    server.stop()
    yield
    server.start()


@contextmanager
def mute(server: EmbeddedServer) -> Iterator[None]:
    """It takes connections, and answers nothing meanwhile."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def test_each_process_tells_what_it_lacks_and_is_ready_again_when_it_is_there(
    servers: tuple[EmbeddedValkey, EmbeddedPostgres], tmp_path: Path
) -> None:
    valkey, postgres = servers
    services = Services(tmp_path / "run", {**QUICK, "REDIS_URL": valkey.url, "DATABASE_URL": postgres.url})
    vitals = Vitals(services)
    async with services.running():
        await vitals.is_ready(WEBHOOK)
        await vitals.lacks(HANDLERS, "run: prosa migrate")
        await vitals.lacks(CLOCK, "the policy of the settings")
        await vitals.lacks(CLOCK, "prosa migrate")
        await prosa("migrate", directory=tmp_path, DATABASE_URL=postgres.url)
        await vitals.is_ready(*Process)

        with away(postgres):
            await vitals.lacks(HANDLERS, "DATABASE_URL")
            await vitals.is_ready(WEBHOOK, CLOCK)
        await vitals.is_ready(*Process)

        with mute(valkey):
            for process in Process:
                await vitals.lacks(process, "REDIS_URL")
        await vitals.is_ready(*Process)

        with away(valkey):
            for process in Process:
                await vitals.lacks(process, "REDIS_URL")
            await vitals.lacks(CLOCK, "the last tick is")
            await vitals.lacks(HANDLERS, "leases are not renewed")
            for process in (HANDLERS, CLOCK):
                assert max(of(await vitals.exported(process), "prosa_loop_age_seconds")) < TURN_SECONDS
        await vitals.is_ready(*Process)
        for process in Process:
            assert await vitals.problems(process, "/health/live") == []
