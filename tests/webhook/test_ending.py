"""How `uvicorn webhook:app` ends: in order, and with a code that tells a supervisor whether another start is of use."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_log import RedisEventLog
from streams.errors import EX_CONFIG, UnsafeLog
from tests.webhook.posts import message
from tests.webhook.processes import live, output_of, uvicorn
from tests.webhook.serving import DEADLINE_SECONDS, Client, parsed

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "s" * 40,
    "TWILIO_AUTH_TOKEN": "t" * 40,
    "TWILIO_ACCOUNT_SID": "AC" + "7" * 32,
    "PUBLIC_BASE_URL": "https://prosa.example.com",
}
WRONG: dict[str, tuple[dict[str, str], str, int]] = {
    "of another size": ({"STREAM_PARTITIONS": "5"}, "LogMismatch", EX_CONFIG),
    "unsafe": (PRODUCTION, "UnsafeLog", UnsafeLog.exit_code),
}
"""Settings that do not fit the log, what is told of it, and the exit code."""
HALF_A_POST = b"POST /webhooks/twilio/messages HTTP/1.1\r\nhost: prosa\r\ncontent-length: 3\r\nconnection: close\r\n\r\na"
THE_OTHER_HALF = b"=b"
SECONDS_OF_SEVERAL = 4 * DEADLINE_SECONDS
"""A supervisor gives a worker five seconds for each look at it."""


class WritesEachSecond(EmbeddedValkey):
    """What a power cut takes something from: no log for production."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--appendfsync", "everysec"]


@pytest.fixture
async def valkey(tmp_path: Path) -> EmbeddedValkey:
    """It holds a log of four partitions, and does not run; whoever starts it stops it."""
    server = WritesEachSecond(tmp_path / "valkey", free_port())
    server.start()
    log = RedisEventLog(server.url, partitions=4)
    await log.start()
    await log.close()
    server.stop()
    return server


@pytest.fixture
def stopped(valkey: EmbeddedValkey) -> Iterator[EmbeddedValkey]:
    yield valkey
    valkey.stop()


async def closed_to(client: Client) -> None:
    """Return once nobody new is let in."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        with suppress(ConnectionError):
            while True:
                async with client.connection():
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_log_that_comes_up_wrong_ends_the_process_with_the_code_of_that_error_though_nobody_asks(
    stopped: EmbeddedValkey, tmp_path: Path, what: str, loop: str
) -> None:
    settings, told, code = WRONG[what]
    async with uvicorn(tmp_path, "--loop", loop, REDIS_URL=stopped.url, **settings) as (process, client):
        await live(client)
        await asyncio.to_thread(stopped.start)
        output = await output_of(process)
        assert (await process.wait(), "Traceback" in output, output.count(told)) == (code, False, 1)


@pytest.mark.parametrize("path", ["/webhooks/twilio/messages", "/health/ready"])
async def test_who_finds_the_log_wrong_and_who_is_being_answered_get_their_answers_before_the_process_ends(
    stopped: EmbeddedValkey, tmp_path: Path, path: str
) -> None:
    settings = {"PUBLIC_BASE_URL": "https://prosa.example.com", "STREAM_PARTITIONS": "5", "REDIS_URL": stopped.url}
    async with uvicorn(tmp_path, **settings) as (process, client):
        await live(client)
        async with client.connection() as (reader, writer):
            writer.write(HALF_A_POST)
            await asyncio.to_thread(stopped.start)
            with suppress(ConnectionError):  # the process may have looked first
                answer = await (client.get(path) if path == "/health/ready" else client.post(message()))
                assert answer.status == 503
            await closed_to(client)
            writer.write(THE_OTHER_HALF)
            assert parsed(await reader.read()).status == 403
        assert await process.wait() == EX_CONFIG


async def test_a_stop_in_order_answers_whoever_is_there_and_ends_with_0(tmp_path: Path, redis_url: str) -> None:
    async with uvicorn(tmp_path, REDIS_URL=redis_url) as (process, client):
        await live(client)
        async with client.connection() as (reader, writer):
            writer.write(HALF_A_POST)
            process.send_signal(signal.SIGTERM)
            await closed_to(client)
            writer.write(THE_OTHER_HALF)
            assert parsed(await reader.read()).status == 403
        output = await output_of(process)
        assert (await process.wait(), "Traceback" in output, "stopped" in output.splitlines()[-1]) == (0, False, True)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_whoever_stops_it_gets_0_and_all_that_the_server_tells(
    tmp_path: Path, redis_url: str, loop: str, number: signal.Signals
) -> None:
    async with uvicorn(tmp_path, "--loop", loop, REDIS_URL=redis_url, LOG_LEVEL="DEBUG") as (process, client):
        await live(client)
        process.send_signal(number)
        output = await output_of(process)
        assert (await process.wait(), "Traceback" in output) == (0, False)
    assert "Finished server process" in output.splitlines()[-1]


async def test_a_port_that_is_taken_is_no_end_in_order(tmp_path: Path, redis_url: str) -> None:
    async with uvicorn(tmp_path, REDIS_URL=redis_url) as (_, client):
        await live(client)
        async with uvicorn(tmp_path, "--port", str(client.port), REDIS_URL=redis_url) as (second, _):
            await output_of(second)
            assert await second.wait() not in {0, EX_CONFIG}


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"LEASE_SECONDS": "x"}, "LEASE_SECONDS"), ({"STREAM_PARTITIONS": "5"}, "LogMismatch"), (PRODUCTION, "UnsafeLog")],
    ids=["a setting", "of another size", "unsafe"],
)
async def test_several_workers_that_cannot_start_end_with_their_supervisor(
    stopped: EmbeddedValkey, tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    """uvicorn's starts a worker again whatever it ended with, but for one code."""
    stopped.start()
    async with uvicorn(tmp_path, "--workers", "2", REDIS_URL=stopped.url, **settings) as (process, _):
        output = await output_of(process, SECONDS_OF_SEVERAL)
        assert await process.wait() == 0
    assert 1 <= sum(told in line for line in output.splitlines()) <= 2
    assert "failed to start" in output


async def test_several_workers_whose_log_comes_up_wrong_end_with_their_supervisor(
    stopped: EmbeddedValkey, tmp_path: Path
) -> None:
    async with uvicorn(tmp_path, "--workers", "2", REDIS_URL=stopped.url, STREAM_PARTITIONS="5") as (process, client):
        await live(client)
        await asyncio.to_thread(stopped.start)
        await output_of(process, SECONDS_OF_SEVERAL)
        assert await process.wait() == 0


async def test_several_workers_stop_in_order(tmp_path: Path, redis_url: str) -> None:
    async with uvicorn(tmp_path, "--workers", "2", REDIS_URL=redis_url) as (process, client):
        await live(client)
        process.send_signal(signal.SIGTERM)
        output = await output_of(process, SECONDS_OF_SEVERAL)
        assert (await process.wait(), "Traceback" in output) == (0, False)
