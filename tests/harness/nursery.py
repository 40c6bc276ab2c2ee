"""Real processes at the cost of a fork, asked of a zygote; each can be signalled, and its end is told."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.crashes import Crash

READY_SECONDS = 60.0
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its exit code, or minus the signal, and when, by the monotonic clock."""

    pid: int
    code: int
    at: float


@dataclass(slots=True)
class Child:
    """A process that was asked for."""

    pid: int
    started_at: float
    ended: "asyncio.Future[End]"
    _signal: Callable[[int, int], None] = field(repr=False)

    @property
    def is_alive(self) -> bool:
        return not self.ended.done()

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens where it has ended."""
        self._signal(self.pid, number)

    async def wait(self, seconds: float) -> End:
        """Its end. Raises `TimeoutError`."""
        return await asyncio.wait_for(asyncio.shield(self.ended), seconds)


class Nursery:
    """The zygote, as seen from a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._asked: dict[int, asyncio.Future[Child]] = {}
        self._children: dict[int, Child] = {}

    async def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        output: Path,
        points: Path | None = None,
        crash: Crash | None = None,
    ) -> Child:
        """Run a module as `python -m` does; with a folder for `points` its crash points are counted, and armed for `crash`."""
        self._number += 1
        number, asked = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        self._tell(
            start={
                "id": number,
                "arguments": list(arguments),
                "environment": dict(environment),
                "directory": str(directory),
                "output": str(output),
                "points": str(points) if points else None,
                "crash": [crash.point, crash.occurrence, crash.action] if crash else None,
            }
        )
        child: Child = await asked
        return child

    def _tell(self, **request: Any) -> None:
        self._writer.write(json.dumps(request).encode() + b"\n")

    async def listen(self) -> None:
        """Until the zygote is gone."""
        while line := await self._reader.readline():
            told = json.loads(line)
            if "started" in told:
                child = Child(told["pid"], told["at"], asyncio.get_running_loop().create_future(), self._send)
                self._children[told["started"]] = child
                self._asked.pop(told["started"]).set_result(child)
            elif "ended" in told:
                self._children.pop(told["ended"]).ended.set_result(End(told["pid"], told["code"], told["at"]))

    def _send(self, pid: int, number: int) -> None:
        self._tell(pid=pid, signal=int(number))


@asynccontextmanager
async def nursery(log: Path) -> AsyncIterator[Nursery]:
    """A zygote for as long as this lasts; afterwards no process that it started lives."""
    ours, its = socket.socketpair()
    with its, log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter, started in a moment
            [sys.executable, "-m", "tests.harness.zygote", str(its.fileno())],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(its.fileno(),),
            start_new_session=True,
        )
    reader, writer = await asyncio.open_connection(sock=ours)
    listening: asyncio.Task[None] | None = None
    try:
        ready = await asyncio.wait_for(reader.readline(), READY_SECONDS)
        assert ready, f"the zygote did not start; it left its words in {log}"
        found = Nursery(reader, writer)
        listening = asyncio.create_task(found.listen())
        yield found
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        writer.close()
        await asyncio.to_thread(process.wait)
