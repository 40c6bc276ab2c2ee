"""`prosa dev` as `make run` starts it: a process of its own, in a folder of its own, on ports that were free."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from redis.asyncio import Redis

from development.directory import RunDirectory
from simulator.servers import free_port
from tests.acceptance.processes import Process, descendants, running_in
from tests.harness.history import History, Sources, history_of
from tests.harness.phone_company import PhoneCompany as PhoneCompany
from tests.harness.programs import clean_environment as clean_environment
from tests.harness.system import eventually as eventually

PROSA = Path(sys.executable).with_name("prosa")
START_SECONDS = 60.0
STOP_SECONDS = 40.0
COMMAND_SECONDS = 90.0
LEFTOVER_SECONDS = 15.0
WORKER = "multiprocessing"
PARTITIONS = 8

QUICK = {
    "LEASE_SECONDS": "2",
    "TWILIO_TIMEOUT_SECONDS": "1",
    "REPLY_QUIET_SECONDS": "0.3",
    "SEND_PROOF_SECONDS": "2",
    "CLOCK_TICK_SECONDS": "2",
    "RETRY_BASE_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "1",
}
"""Everything that waits waits little."""


def free_ports(workers: int) -> list[str]:
    """The options that keep a run out of everybody's way."""
    options = ["--metrics-port", str(free_port(in_a_row=workers + 1))]
    for name in ("--port", "--simulator-port", "--valkey-port", "--postgres-port"):
        options += [name, str(free_port())]
    return options


@dataclass
class Prosa:
    """One `prosa dev`, which may be started again after its end."""

    directory: Path
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    started_seconds: float = 0.0
    _process: "subprocess.Popen[bytes] | None" = None
    _below: set[Process] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.options = self.options or free_ports(self.workers)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def command(self) -> list[str]:
        return [str(PROSA), "dev", "--workers", str(self.workers), *self.options]

    @property
    def output_file(self) -> Path:
        return self.directory / "output.txt"

    @property
    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    @property
    def addresses(self) -> dict[str, str]:
        return RunDirectory(self.directory / ".prosa").read_addresses()

    def launch(self) -> None:
        """Begin to start it."""
        with self.output_file.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                cwd=self.directory,
                env=clean_environment(**self.settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def start(self) -> None:
        """Start it, and return when it says that it runs."""
        before, began = self.output_file.stat().st_size if self.output_file.exists() else 0, time.monotonic()
        self.launch()
        await eventually(lambda: self._has_said("Prosa runs after", before), START_SECONDS, "prosa dev runs")
        self.started_seconds = time.monotonic() - began
        self.note_processes()

    async def says(self, sentence: str, seconds: float = START_SECONDS) -> None:
        """Return when its output holds this."""
        await eventually(lambda: self._has_said(sentence, 0), seconds, sentence)

    async def _has_said(self, sentence: str, after: int) -> bool:
        has_said = sentence in self.output[after:] if after else sentence in self.output
        assert has_said or self.process.poll() is None, f"prosa dev ended with {self.process.returncode}:\n{self.output[-3000:]}"
        return has_said

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop; returns its exit code."""
        self.note_processes()
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    def note_processes(self) -> None:
        """What is to be gone afterwards."""
        self._below |= set(descendants(self.process.pid))

    @property
    def noted(self) -> frozenset[Process]:
        """Everything that was seen below it so far."""
        return frozenset(self._below)

    async def left_over(self, seconds: float = LEFTOVER_SECONDS) -> list[Process]:
        """What of it still lives after so long; all of it had better be gone earlier."""
        deadline = time.monotonic() + seconds
        while True:
            left = {process for process in self._below if process.is_alive} | set(running_in(self.directory))
            if not left or time.monotonic() > deadline:
                return sorted(left, key=lambda process: process.pid)
            await asyncio.sleep(0.05)

    def child(self, text: str) -> Process:
        """The one process below that has this in its command line."""
        [found] = [each for each in descendants(self.process.pid) if text in each.command and WORKER not in each.command]
        return found

    def worker_pids(self) -> list[int]:
        """The handlers' workers, oldest first."""
        workers = [each for each in descendants(self.process.pid) if WORKER in each.command and "spawn_main" in each.command]
        return [each.pid for each in sorted(workers, key=lambda each: (each.started, each.pid))]

    async def say(self, *arguments: str) -> tuple[int, str]:
        """`prosa say` in a second terminal: its exit code and everything it printed."""
        return await prosa("say", *arguments, directory=self.directory)

    @asynccontextmanager
    async def phone_company(self) -> AsyncIterator["PhoneCompany"]:
        async with aiohttp.ClientSession(self.addresses["TWILIO_API_URL"], trust_env=False) as session:
            yield PhoneCompany(session)

    @asynccontextmanager
    async def database(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.addresses["DATABASE_URL"])
        try:
            yield connection
        finally:
            await connection.close()

    async def history(self, twilio: PhoneCompany) -> History:
        """What happened so far, looked up everywhere."""
        async with (
            asyncpg.create_pool(self.addresses["DATABASE_URL"], min_size=0, max_size=1) as database,
            Redis.from_url(self.addresses["REDIS_URL"]) as redis,
        ):
            return await history_of(Sources(twilio, database, redis, PARTITIONS))

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Any]:
        async with Redis.from_url(self.addresses["REDIS_URL"], decode_responses=True) as client:
            yield client


@asynccontextmanager
async def running(prosa_dev: Prosa) -> AsyncIterator[Prosa]:
    """Start it; whatever happens, nothing of it is left."""
    try:
        await prosa_dev.start()
        yield prosa_dev
    finally:
        await end(prosa_dev)


async def end(prosa_dev: Prosa) -> None:
    """Stop what still runs, by its ids, also what was paused."""
    if prosa_dev._process is not None and prosa_dev.process.poll() is None:
        for process in descendants(prosa_dev.process.pid):
            os.kill(process.pid, signal.SIGCONT)
        await prosa_dev.stop(signal.SIGTERM)
    for process in await prosa_dev.left_over():
        os.kill(process.pid, signal.SIGKILL)


async def prosa(*arguments: str, directory: Path, **settings: str) -> tuple[int, str]:
    """One short command in a folder: its exit code and everything it printed."""
    process = await asyncio.create_subprocess_exec(
        PROSA,
        *arguments,
        cwd=directory,
        env=clean_environment(**settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode or 0, re.sub(r"\x1b\[[0-9;]*m", "", output.decode())
