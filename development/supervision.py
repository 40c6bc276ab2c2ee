"""
Programs kept running as our children, with one merged log.

Laws. A child that ends by itself is started again, until it has failed too often in a row, or says that its settings are wrong:
they will not be better next time. Every child leads a process group
of its own, so that Ctrl-C reaches only us, and its end is the end of the whole group. When we are killed, the kernel asks
every child to stop.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from simulator import embedded_launch
from streams.errors import EX_CONFIG

STOP_SECONDS = 20.0
"""How long a child may take to finish its work: a worker drains for 10."""
ORPHAN_SECONDS = 12.0
"""How long the workers of a child that was killed may take to notice it and to finish theirs."""
LEFTOVER_SECONDS = 1.0
"""The same after a child that stopped when it was asked: it has waited for its workers itself."""
RESTARTS_IN_A_ROW = 4
STEADY_SECONDS = 10.0
"""A child that ran this long before it ended is started anew without counting against it."""
RESTART_PAUSE_SECONDS = 0.5
"""Before the first restart; each one in a row waits so much longer."""
LONGEST_LINE_BYTES = 1024 * 1024
CHUNK_BYTES = 65536

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run; every one of `ready_urls` answers 200 once it can do its work."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready_urls: Sequence[str]


class Child:
    """One program, from `start` to `stop`, however often it ends in between."""

    def __init__(self, program: Program, *, show: Show, warn: Show, give_up: Callable[[str], None]) -> None:
        """`show` takes the program's own lines, `warn` what happens to it, `give_up` why it cannot be kept running."""
        self.program = program
        self._show = show
        self._warn = warn
        self._give_up = give_up
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run it from now on."""
        self._task = asyncio.create_task(self._keep_running(), name=self.program.name)

    @property
    def is_running(self) -> bool:
        """Whether anything of it may be left."""
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """Ask it to stop, and return when nothing of it is left."""
        self._asked.set()
        if self._task is not None:
            await self._task

    def kill(self) -> None:
        """End the waiting: whoever is stopped now, or later, is killed."""
        self._hurry.set()

    async def _keep_running(self) -> None:
        failures = 0
        while not self._asked.is_set():
            started = _now()
            code = await self._run_once()
            if self._asked.is_set():
                return
            if code == EX_CONFIG:
                self._give_up(f"{self.program.name} cannot run with these settings; its last line says why")
                return
            failures = 1 if _now() - started > STEADY_SECONDS else failures + 1
            if failures >= RESTARTS_IN_A_ROW:
                self._give_up(f"{self.program.name} ended {failures} times in a row; its last lines say why")
                return
            self._warn(f"{self.program.name} {_ending(code)}; starting it again")
            await _within(failures * RESTART_PAUSE_SECONDS, self._asked.wait())

    async def _run_once(self) -> int:
        read_end, write_end = os.pipe()
        try:
            process = await self._spawn(write_end)
        finally:
            os.close(write_end)
        lines = asyncio.create_task(self._show_lines(read_end))
        ended = asyncio.create_task(process.wait())
        await _first(ended, self._asked.wait())
        if not ended.done():
            self._ask_group(process.pid)
            await _first(ended, _within(STOP_SECONDS, self._hurry.wait()))
        await self._end_group(process.pid, lines, self._patience_seconds(ended.done()))
        return await ended

    def _ask_group(self, leader: int) -> None:
        """Every process of it at once: FastStream's supervisor would stop its workers one after the other."""
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGTERM)

    def _patience_seconds(self, has_ended: bool) -> float:
        if not has_ended:
            return 0.0
        return LEFTOVER_SECONDS if self._asked.is_set() else ORPHAN_SECONDS

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        """With a pipe of our own: asyncio's would tell of the end only when the last worker has closed it."""
        launch = embedded_launch.Launch(parent=os.getpid(), death_signal=signal.SIGTERM, user=None, reach=[])
        launcher = [sys.executable, "-I", "-S", embedded_launch.__file__, json.dumps(launch)]
        return await asyncio.create_subprocess_exec(
            *launcher,
            *self.program.command,
            env=self.program.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    async def _show_lines(self, read_end: int) -> None:
        """Ends when nobody holds the other end any more: then every process of the group has ended."""
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_end, "rb")
        )
        rest = b""
        try:
            while chunk := await stream.read(CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LONGEST_LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._show(line.decode(errors="replace").rstrip())
        finally:
            transport.close()
        if rest:
            self._show(rest.decode(errors="replace").rstrip())

    async def _end_group(self, group: int, lines: "asyncio.Task[None]", patience_seconds: float) -> None:
        """Wait for the workers of a child that has ended, and then kill what is left; no process of another group."""
        await _first(lines, _within(patience_seconds, self._hurry.wait()))
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        await _within(LEFTOVER_SECONDS, asyncio.shield(lines))
        lines.cancel()


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


async def _first(*awaitables: Awaitable[object]) -> None:
    """Wait until one of them is done. The first goes on; the others are waits, and cancelled."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks[1:]:
        task.cancel()


async def _within(seconds: float, wait: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait


def _now() -> float:
    return asyncio.get_running_loop().time()
