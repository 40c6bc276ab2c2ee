"""
What can happen to one process, and what it costs the machine meanwhile.

Laws. A signal reaches the process that was meant or nobody: a later one with the same id is never hit. Whoever was stopped
goes on afterwards, whatever happens in between. Figures are read from /proc and ask nothing of the process.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.acceptance.processes import PROC, Process, descendants, process_of

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STOPPED_SECONDS = 5.0
POLL_SECONDS = 0.002
USER_TICKS, SYSTEM_TICKS, RESIDENT_PAGES = 11, 12, 21
"""Places in /proc/PID/stat, counted from the state (proc_pid_stat(5) counts from 1 and has two fields before it)."""


class ProcessGone(Exception):
    """The process has ended, and its id may be another's by now."""


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to this very process. Raises `ProcessGone`."""
    with _held(process) as descriptor:
        signal.pidfd_send_signal(descriptor, number)


async def kill(process: Process) -> None:
    """SIGKILL; returns when it does nothing any more."""
    send(process, signal.SIGKILL)
    await ended(process)


async def ended(*processes: Process) -> None:
    """Returns when none of them does anything any more."""
    for process in processes:
        await _until(lambda: not process.is_alive, f"{process.pid} is dead")  # noqa: B023 - awaited at once


async def terminate(process: Process) -> None:
    """SIGTERM, as an orchestrator asks; does not wait."""
    send(process, signal.SIGTERM)


async def interrupt(process: Process) -> None:
    """SIGINT, as Ctrl-C asks; does not wait."""
    send(process, signal.SIGINT)


@asynccontextmanager
async def stopped(*processes: Process) -> AsyncIterator[None]:
    """Nothing of them runs meanwhile: SIGSTOP, and SIGCONT at the end to those that are still there."""
    with ExitStack() as woken:
        for process in processes:
            with suppress(ProcessGone):
                send(process, signal.SIGSTOP)
                woken.callback(_wake, process)
        for process in processes:
            await _until(partial(_does_nothing, process), f"{process.pid} is stopped")
        yield


def family_of(pid: int) -> list[Process]:
    """A process and everything below it, itself first."""
    process = process_of(pid)
    return [process, *descendants(pid)] if process else []


@dataclass(slots=True)
class Span:
    """What some processes did within a span of time; complete when it is over. Those that ended in between count up to there."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    lines: int = 0

    @property
    def cores(self) -> float:
        """How much of one core was used: 0.05 is 5 %."""
        return self.cpu_seconds / self.seconds

    @property
    def lines_per_second(self) -> float:
        return self.lines / self.seconds


@asynccontextmanager
async def measured(*processes: Process, outputs: Sequence[Path] = ()) -> AsyncIterator[Span]:
    """Count processor time of these processes and new lines in these files, while this lasts."""
    span, began = Span(), time.monotonic()
    cpu_before = {process: cpu_seconds(process) for process in processes}
    lines_before = lines_in(outputs)
    yield span
    span.cpu_seconds = sum(max(0.0, cpu_seconds(process) - before) for process, before in cpu_before.items())
    span.lines = lines_in(outputs) - lines_before
    span.seconds = time.monotonic() - began


def cpu_seconds(process: Process) -> float:
    """Of the process itself, all its threads, since it began; 0 of one that is gone."""
    fields = _fields(process)
    return (int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])) / CLOCK_TICKS if fields else 0.0


def resident_bytes(process: Process) -> int:
    """How much memory it holds; 0 of one that is gone."""
    fields = _fields(process)
    return int(fields[RESIDENT_PAGES]) * PAGE_BYTES if fields else 0


def open_files(process: Process) -> int:
    """How many descriptors it has; 0 of one that is gone."""
    with suppress(OSError):
        if process.is_alive:
            return len(list((PROC / str(process.pid) / "fd").iterdir()))
    return 0


def lines_in(outputs: Sequence[Path]) -> int:
    """A file that is not there yet has none."""
    return sum(output.read_bytes().count(b"\n") for output in outputs if output.exists())


@contextmanager
def _held(process: Process) -> Iterator[int]:
    """A descriptor that stands for this process for ever, so that nobody can slip in between the look and the signal."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        raise ProcessGone(process.pid) from None
    try:
        if not process.is_alive:
            raise ProcessGone(process.pid)
        yield descriptor
    finally:
        os.close(descriptor)


def _wake(process: Process) -> None:
    with suppress(ProcessGone):
        send(process, signal.SIGCONT)


def _does_nothing(process: Process) -> bool:
    fields = _fields(process)
    return not fields or fields[0] in "TZ"


def _fields(process: Process) -> list[str]:
    """Those of /proc/PID/stat from the state on; none of one that is gone."""
    with suppress(OSError):
        fields = (PROC / str(process.pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        return fields if int(fields[19]) == process.started else []
    return []


async def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + STOPPED_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {STOPPED_SECONDS:.0f} s: {what}"
        await asyncio.sleep(POLL_SECONDS)
