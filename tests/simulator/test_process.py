"""`python -m simulator` as a process."""

import asyncio
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from errno import ECONNRESET
from pathlib import Path

import aiohttp
import pytest

from simulator.__main__ import parser, rewrite, settings_of
from simulator.servers import free_port
from simulator.settings import ApiKey
from tests.simulator.stand_in import ACCOUNT_SID, ANA, AUTH_TOKEN, DEADLINE_SECONDS, StandIn, eventually

ENVIRONMENT = {"TWILIO_ACCOUNT_SID": ACCOUNT_SID, "TWILIO_AUTH_TOKEN": AUTH_TOKEN}
ROOT = Path(__file__).parents[2]


def start(port: int, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error", "-m", "simulator", "--port", str(port), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.PIPE)  # noqa: S603 - our own


async def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, stderr = await asyncio.to_thread(process.communicate, timeout=DEADLINE_SECONDS)
    return process.returncode, stderr.decode()


async def is_up(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with http.get(f"http://127.0.0.1:{port}/simulator/health") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def test_it_survives_a_kill_and_stops_when_asked(tmp_path: Path) -> None:
    port = free_port()
    ledger = str(tmp_path / "a folder" / "ledger.jsonl")
    async with aiohttp.ClientSession() as http:
        stand_in = StandIn(f"http://127.0.0.1:{port}", http, None)
        process = start(port, "--ledger", ledger)
        await eventually(lambda: is_up(http, port))
        written = await stand_in.write(body="Oi")
        process.kill()
        await ended(process)
        process = start(port, "--ledger", ledger)
        await eventually(lambda: is_up(http, port))
        assert [message["sid"] for message in (await stand_in.phone(ANA))["sent"]] == [written["sid"]]
    process.terminate()
    assert await ended(process) == (0, "")


async def test_it_resets_a_connection_under_the_loop_that_uvicorn_chooses() -> None:
    port = free_port()
    process = start(port)
    async with aiohttp.ClientSession() as http:
        await eventually(lambda: is_up(http, port))
        stand_in = StandIn(f"http://127.0.0.1:{port}", http, None)
        await stand_in.break_down(create={"reset_before": 1})
        with pytest.raises(aiohttp.ClientOSError) as broken:
            await stand_in.create({})
        assert broken.value.errno == ECONNRESET
    process.terminate()
    assert await ended(process) == (0, "")


async def test_a_hanging_create_does_not_hold_up_the_stop() -> None:
    port = free_port()
    process = start(port)
    async with aiohttp.ClientSession() as http:
        await eventually(lambda: is_up(http, port))
        stand_in = StandIn(f"http://127.0.0.1:{port}", http, None)
        await stand_in.break_down(create={"hang_before": 1})
        hanging = asyncio.create_task(stand_in.create({}))
        await eventually(lambda: stand_in.entries("message_refused"))
        process.terminate()
        assert (await ended(process))[0] == 0
        await asyncio.gather(hanging, return_exceptions=True)


async def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "TWILIO_AUTH_TOKEN", "")
    code, stderr = await ended(start(free_port()))
    assert (code, stderr) == (2, "TWILIO_AUTH_TOKEN is not set\n")


def test_the_command_line_and_the_environment_make_the_settings() -> None:
    arguments = parser().parse_args(
        [
            "--inbound-url=http://127.0.0.1:8000/in#rc=5",
            "--rewrite=https://app.example.com=http://127.0.0.1:8000",
            "--sent-after=0",
            "--read-after=2",
            "--window-hours=0.5",
            "--ledger=here.jsonl",
        ]
    )
    keys = {"TWILIO_API_KEY_SID": "SK1", "TWILIO_API_KEY_SECRET": "secret"}
    made = settings_of(arguments, {**ENVIRONMENT, **keys, "TWILIO_AUTH_TOKEN": "new, old"})
    assert (made.account_sid, made.auth_token, made.api_key) == (ACCOUNT_SID, "new", ApiKey("SK1", "secret"))
    assert made.inbound_url == "http://127.0.0.1:8000/in#rc=5"
    assert made.rewrites == {"https://app.example.com": "http://127.0.0.1:8000"}
    assert (made.delays.sent_seconds, made.delays.read_seconds, made.window_hours) == (0, 2, 0.5)
    assert made.ledger_path == Path("here.jsonl")


def test_settings_show_no_secret() -> None:
    made = settings_of(parser().parse_args([]), ENVIRONMENT)
    assert AUTH_TOKEN not in repr(made)


def test_a_rewrite_needs_both_sides() -> None:
    with pytest.raises(ArgumentTypeError):
        rewrite("https://app.example.com")
