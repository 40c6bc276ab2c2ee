"""A signal reaches the process that was meant; figures tell what it used."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, process_of
from tests.harness import process_faults
from tests.harness.process_faults import ProcessGone, measured, send, stopped

COUNTS = """
import time, sys
open(sys.argv[1], "w").close()
while True:
    with open(sys.argv[1], "a") as lines:
        lines.write("one more\\n")
    time.sleep(0.005)
"""
HOLDS = """
import sys, time
files, memory = [open("/dev/null") for _ in range(50)], b"x" * 50_000_000
print("1\\n2\\n3", file=open(sys.argv[1], "w"), flush=True)
time.sleep(60)
"""
SPINS = "while True: pass"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output.txt"


@pytest.fixture
def children() -> Iterator[list["subprocess.Popen[bytes]"]]:
    children: list[subprocess.Popen[bytes]] = []
    yield children
    for child in children:
        child.kill()
        child.wait()


def started(children: list["subprocess.Popen[bytes]"], program: str, *arguments: str) -> Process:
    children.append(subprocess.Popen([sys.executable, "-c", program, *arguments]))  # noqa: S603 - our own program
    process = process_of(children[-1].pid)
    assert process is not None
    return process


def empty(output: Path) -> None:
    output.write_text("")


async def has_lines(output: Path) -> None:
    async with asyncio.timeout(10):
        while process_faults.lines_in([output]) < 3:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.01)


async def test_a_stopped_process_does_nothing_and_goes_on_afterwards(
    children: list["subprocess.Popen[bytes]"], output: Path
) -> None:
    process = started(children, COUNTS, str(output))
    await has_lines(output)
    async with stopped(process), measured(process, outputs=[output]) as span:
        await asyncio.sleep(0.1)
    assert (span.lines, span.cpu_seconds) == (0, 0)
    empty(output)
    await has_lines(output)


async def test_a_stopped_process_goes_on_though_the_test_fails(children: list["subprocess.Popen[bytes]"], output: Path) -> None:
    process = started(children, COUNTS, str(output))
    await has_lines(output)
    with pytest.raises(ValueError, match="the test"):
        async with stopped(process):
            raise ValueError("the test")
    empty(output)
    await has_lines(output)


async def test_a_process_killed_while_it_is_stopped_is_left_alone(children: list["subprocess.Popen[bytes]"]) -> None:
    process = started(children, SPINS)
    async with stopped(process):
        await process_faults.kill(process)
    assert children[0].wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
async def test_it_ends_by_the_signal_that_was_sent(children: list["subprocess.Popen[bytes]"], number: signal.Signals) -> None:
    process = started(children, SPINS)
    send(process, number)
    assert await asyncio.to_thread(children[0].wait, 10) == -number


async def test_another_process_with_the_same_id_is_never_hit(children: list["subprocess.Popen[bytes]"]) -> None:
    process = started(children, SPINS)
    earlier = replace(process, started=process.started - 1)
    with pytest.raises(ProcessGone):
        send(earlier, signal.SIGKILL)
    async with stopped(earlier):
        assert children[0].poll() is None
    assert (
        process_faults.cpu_seconds(earlier) == process_faults.resident_bytes(earlier) == process_faults.open_files(earlier) == 0
    )
    assert process.is_alive


async def test_a_process_that_was_buried_is_gone(children: list["subprocess.Popen[bytes]"]) -> None:
    process = started(children, SPINS)
    await process_faults.kill(process)
    with pytest.raises(ProcessGone):
        send(process, signal.SIGTERM)
    children[0].wait()
    with pytest.raises(ProcessGone):
        send(process, signal.SIGTERM)


async def test_a_spinning_process_shows_and_one_that_waits_does_not(
    children: list["subprocess.Popen[bytes]"], output: Path
) -> None:
    busy, idle = started(children, SPINS), started(children, COUNTS, str(output))
    await has_lines(output)
    async with measured(busy) as of_busy, measured(idle, outputs=[output]) as of_idle:
        deadline = time.monotonic() + 10
        before = process_faults.cpu_seconds(busy)
        while process_faults.cpu_seconds(busy) - before < 0.3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    assert of_busy.cpu_seconds >= 0.3
    assert of_busy.cores > of_idle.cores
    assert of_idle.lines > 10
    assert of_idle.lines_per_second == of_idle.lines / of_idle.seconds


async def test_memory_and_descriptors_are_those_of_the_process(children: list["subprocess.Popen[bytes]"], output: Path) -> None:
    process = started(children, HOLDS, str(output))
    await has_lines(output)
    assert 50_000_000 < process_faults.resident_bytes(process) < 150_000_000
    assert 53 <= process_faults.open_files(process) <= 60
