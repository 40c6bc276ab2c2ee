"""How a process ends: real ones, since what is promised is their exit."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from handlers import ending as ending_module
from handlers.ending import Ending
from streams.errors import EX_CONFIG, ConfigurationError, LogMismatch, UnsafeLog

ROOT = Path(__file__).parents[2]
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=sys.stdout)
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import asyncio, signal
from handlers.ending import Ending

async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with Ending().watched(lambda: None, 1):
        print("up", flush=True)
        await stopped.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigurationError("X"), 78), (LogMismatch("X"), 78), (UnsafeLog("X"), 1), (ValueError("X"), 1)],
    ids=lambda value: type(value).__name__,
)
async def test_a_process_that_no_restart_can_help_ends_with_a_code_of_its_own(error: Exception, code: int) -> None:
    ending = Ending()
    ending.fatal(error)
    with pytest.raises(SystemExit) as exit_:
        async with ending.watched(lambda: None, None):
            pass
    assert exit_.value.code == code


async def test_a_fatal_error_asks_for_a_graceful_stop_and_an_exit_that_tells() -> None:
    ending, asked = Ending(), asyncio.Event()
    with capture_logs() as lines, pytest.raises(SystemExit) as exit_:  # noqa: PT012 - the exit comes at its end
        async with ending.watched(asked.set, None):
            ending.fatal(ConfigurationError("DATABASE_URL: Postgres answers InvalidPasswordError"))
            await asyncio.wait_for(asked.wait(), 1)
    assert exit_.value.code == EX_CONFIG
    assert lines[0]["reason"] == "DATABASE_URL: Postgres answers InvalidPasswordError"


async def test_an_error_before_the_start_counts_too() -> None:
    ending = Ending()
    ending.fatal(ConfigurationError("X"))
    with pytest.raises(SystemExit):
        async with ending.watched(lambda: None, None):
            pass


async def test_a_stop_that_was_asked_for_is_no_error() -> None:
    async with Ending().watched(lambda: None, None):
        pass


async def test_what_is_not_ours_is_told_by_its_name_only() -> None:
    with capture_logs() as lines:
        Ending().fatal(ValueError("what the contact said"))
    assert lines[0]["error"] == lines[0]["reason"] == "ValueError"


async def test_the_first_error_is_told_and_each_asks_for_the_stop() -> None:
    asked: list[int] = []
    ending = Ending()
    with capture_logs() as lines, pytest.raises(SystemExit):  # noqa: PT012 - the exit comes at its end
        async with ending.watched(lambda: asked.append(1), None):
            ending.fatal(ConfigurationError("first"))
            ending.fatal(ConfigurationError("second"))
    assert [line["reason"] for line in lines] == ["first"]
    assert len(asked) == 2


async def test_one_worker_of_several_takes_its_time_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending_module, "RESPAWN_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(ending_module, "_end_with_parent", lambda: None)
    ending, started = Ending(), time.monotonic()
    with pytest.raises(SystemExit):
        async with ending.watched(lambda: None, 1):
            ending.fatal(UnsafeLog("X"))
    assert time.monotonic() - started >= 0.2


def test_a_worker_ends_when_its_supervisor_is_killed() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)  # noqa: S603 - our own words
    assert parent.stdout is not None
    lines = {parent.stdout.readline().strip() for _ in range(2)}
    (child,) = [int(line) for line in lines if line.isdigit()]
    assert b"up" in lines
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while _is_running(child):
        assert time.monotonic() < deadline, "it outlived its supervisor"
        time.sleep(0.05)
    parent.stdout.close()


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        os.kill(pid, 0)
        return True
    return state != "Z"


HANGS = """
import asyncio
from handlers import ending

async def main():
    ending.STOP_SECONDS = 0.3
    await ending.Ending().limited()
    print("stopping", flush=True)
    {hang}

asyncio.run(main())
"""


@pytest.mark.parametrize("hang", ["await asyncio.sleep(60)", "import time; time.sleep(60)"], ids=["a task", "the loop"])
def test_a_stop_that_hangs_is_ended_at_its_limit(hang: str) -> None:
    command = [sys.executable, "-c", HANGS.format(hang=hang)]
    ended = subprocess.run(command, cwd=ROOT, timeout=30, capture_output=True, check=False)  # noqa: S603 - our own words
    assert ended.returncode == 1
    assert b"stop.timed_out" in ended.stdout + ended.stderr


GOES_ON = """
import asyncio
from handlers import ending

async def main():
    ending.STOP_SECONDS = 0.3
    stop = ending.Ending()
    await stop.limited()
    await stop.over()
    await asyncio.sleep(1)

asyncio.run(main())
"""


def test_a_stop_that_came_to_its_end_ends_nothing_else() -> None:
    ended = subprocess.run([sys.executable, "-c", GOES_ON], cwd=ROOT, timeout=30, check=False)  # noqa: S603 - our own words
    assert ended.returncode == 0
