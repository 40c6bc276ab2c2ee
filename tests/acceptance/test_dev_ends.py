"""However `prosa dev` ends, at any moment: nothing of it is left, and the conversation is still there."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.missing import without
from tests.acceptance.running import QUICK, Prosa, end

SECOND_START_SECONDS = 6.0
STOP_SECONDS = 8.0
"""Far below the limit after which a child is killed; alone on two cores it takes one or two."""
KILLED_SECONDS = 15.0
"""Workers drain for 10 seconds at most, and look for their parent twice a second."""


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Prosa]:
    prosa = Prosa(tmp_path, 2, QUICK)
    yield prosa
    await end(prosa)


@pytest.mark.alone
async def test_the_conversation_outlives_every_ending(dev: Prosa) -> None:
    """After a SIGKILL the next start comes at once, while the processes of the killed run are still ending."""
    dev.workers = 1
    await dev.start()
    starts = []
    for number, ending in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)):
        assert (await dev.say(f"message {number}"))[0] == 0
        began = time.monotonic()
        code = await dev.stop(ending)
        if ending is signal.SIGKILL:
            assert code == -ending
        else:
            assert code == 0
            assert time.monotonic() - began < STOP_SECONDS
            assert await dev.left_over(seconds=0) == []
        killed = dev.noted
        await dev.start()
        starts.append(dev.started_seconds)
        code, output = await dev.say(f"message {number} again")
        assert f"Before that you said: “message {number}”" in " ".join(output.split())
        assert [process for process in killed if process.is_alive] == []
    assert min(starts) < SECOND_START_SECONDS
    assert "Traceback" not in dev.output


async def test_a_kill_leaves_nothing(dev: Prosa) -> None:
    await dev.start()
    await dev.stop(signal.SIGKILL)
    assert await dev.left_over(KILLED_SECONDS) == []


@pytest.mark.parametrize("moment", ["making the database", "Starting simulator", "Starting handlers", "partitions gained"])
async def test_a_signal_while_it_starts_stops_it(moment: str, dev: Prosa) -> None:
    dev.launch()
    await dev.says(moment)
    assert await dev.stop() == 0
    assert await dev.left_over(seconds=1) == []
    assert "Traceback" not in dev.output
    assert dev.output.splitlines()[-1].startswith("Stopped")


@pytest.mark.alone
async def test_a_second_signal_does_not_wait_for_a_worker_that_hangs(dev: Prosa) -> None:
    await dev.start()
    os.kill(dev.worker_pids()[0], signal.SIGSTOP)
    dev.note_processes()
    dev.process.send_signal(signal.SIGINT)
    await dev.says("Still waiting for handlers to finish")
    began = time.monotonic()
    assert await dev.stop() == 0
    assert "Not waiting any longer for handlers" in dev.output
    assert time.monotonic() - began < STOP_SECONDS
    assert await dev.left_over(seconds=1) == []


async def test_a_child_that_cannot_be_kept_running_ends_everything(dev: Prosa) -> None:
    """Whatever else runs is stopped."""
    dev.settings = {**QUICK, **without(["faststream"], dev.directory / "site")}
    dev.launch()
    while dev.process.poll() is None:
        dev.note_processes()
        await asyncio.sleep(0.1)
    assert dev.process.returncode == 1
    assert re.fullmatch("prosa: (handlers|clock) ended 4 times in a row; its last lines say why", dev.output.splitlines()[-1])
    assert "No module named faststream" in dev.output
    assert "Traceback" not in dev.output
    assert await dev.left_over(seconds=1) == []
