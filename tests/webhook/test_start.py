"""`uvicorn webhook:app` as a process of its own, and what importing it does."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.servers import free_port
from streams.errors import EX_CONFIG
from tests.webhook.posts import message
from tests.webhook.processes import environment, live, output_of, uvicorn
from tests.webhook.serving import DEADLINE_SECONDS

PURITY = """
import os, sys

class Forbidden(dict):
    def __getattribute__(self, name):
        raise AssertionError("the environment was read")

def forbid(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system")) or (event == "open" and "w" in str(arguments[1])):
        raise AssertionError(event)

sys.dont_write_bytecode = True
sys.addaudithook(forbid)
environment, os.environ = os.environ, Forbidden()
import webhook
os.environ = environment
import webhook.signature, webhook.forms, webhook.limits, webhook.endpoints, webhook.door
assert "app" not in vars(webhook)
assert "redis" not in sys.modules
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working directory without a `.env`."""
    return tmp_path


def test_importing_reads_no_environment_and_does_no_io(elsewhere: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", PURITY], cwd=elsewhere, env=environment(STREAM_PARTITIONS="no number"),
        capture_output=True, text=True, timeout=DEADLINE_SECONDS * 3, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_the_application_is_built_on_demand() -> None:
    import webhook

    with pytest.raises(AttributeError):
        _ = webhook.something_else


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ENVIRONMENT": "production"}, ["SECRET_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "PUBLIC_BASE_URL"]),
        ({"STREAM_PARTITIONS": "many"}, ["STREAM_PARTITIONS"]),
        ({"STREAM_ENGINE": "kafka"}, ["STREAM_ENGINE"]),
        ({"PUBLIC_BASE_URL": "https://host:port"}, ["PUBLIC_BASE_URL"]),
    ],
)
async def test_a_start_that_is_refused_is_one_line_naming_the_settings(
    elsewhere: Path, given: dict[str, str], named: list[str]
) -> None:
    async with uvicorn(elsewhere, **given) as (process, _):
        told = await output_of(process)
        assert await process.wait() == EX_CONFIG
    (line,) = told.splitlines()
    assert all(name in line for name in named)
    assert "Traceback" not in line


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_wrong_log_refuses_the_start_in_a_line_with_the_code_of_wrong_settings(
    elsewhere: Path, redis_url: str, loop: str
) -> None:
    """So that who supervises it knows that another start is of no use, as with the handlers and the clock."""
    async with uvicorn(elsewhere, REDIS_URL=redis_url) as (process, client):
        await live(client)
        process.send_signal(signal.SIGTERM)
        await output_of(process)
    async with uvicorn(elsewhere, "--loop", loop, REDIS_URL=redis_url, STREAM_PARTITIONS="5") as (process, _):
        told = await output_of(process)
        assert await process.wait() == EX_CONFIG
    last = told.splitlines()[-1]
    assert "LogMismatch" in last
    assert "STREAM_PARTITIONS" in last
    assert "Traceback" not in told


async def test_it_starts_without_its_log_and_says_so_in_a_line(elsewhere: Path) -> None:
    async with uvicorn(
        elsewhere, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", PUBLIC_BASE_URL="https://prosa.example.com"
    ) as (
        process,
        client,
    ):
        await live(client)
        assert (await client.get("/health/ready")).status == 503
        assert (await client.post(message())).status == 503
        process.send_signal(signal.SIGTERM)
        told = await output_of(process)
    assert "log not reached" in told
    assert "Traceback" not in told


async def test_production_lines_are_json_without_content(elsewhere: Path, redis_url: str) -> None:
    secrets = {"SECRET_KEY": "s" * 40, "TWILIO_AUTH_TOKEN": "t" * 40, "TWILIO_ACCOUNT_SID": "AC" + "7" * 32}
    async with uvicorn(
        elsewhere, ENVIRONMENT="production", PUBLIC_BASE_URL="https://a.example", REDIS_URL=redis_url,
        REDIS_PERSISTENCE_VOUCHED="true", **secrets,
    ) as (process, client):  # fmt: skip
        await live(client)
        assert (await client.post(message(Body="canary"))).status == 403
        process.send_signal(signal.SIGTERM)
        told = await output_of(process)
    assert all(line.startswith("{") for line in told.splitlines()), told
    assert "canary" not in told
    assert not any(value in told for value in secrets.values())
