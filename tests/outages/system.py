"""The processes as production runs them, beside servers that a test breaks; looked at from outside."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from simulator.embedded_server import HOST
from simulator.servers import EmbeddedPostgres, EmbeddedValkey, free_port, is_taken
from streams.engines.redis_leases import HOLDERS_KEY, MEMBERS_KEY, lease_key
from streams.engines.redis_log import FIELD, stream_key
from streams.envelope import encode, new_event
from streams.events import MessageReceived
from streams.partitions import partition_of_subject, position_of_entry_id
from tests.acceptance.processes import Process, descendants
from tests.acceptance.running import PROSA, clean_environment
from tests.harness.proxy import Proxy
from tests.outages.witness import Witness

PARTITIONS = 8
LEASE_SECONDS = 2.0
START_SECONDS = 40.0
GROUPS = (b"responder", b"sender")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SETTINGS = {
    "TWILIO_ACCOUNT_SID": "AC" + "5" * 32,
    "TWILIO_AUTH_TOKEN": "a token of thirty-two characters or more",
    "PUBLIC_BASE_URL": "http://127.0.0.1:1",
    "STREAM_PARTITIONS": str(PARTITIONS),
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "TWILIO_TIMEOUT_SECONDS": "1",
    "REPLY_QUIET_SECONDS": "0",
    "SEND_PROOF_SECONDS": "1",
    "CLOCK_TICK_SECONDS": "1",
    "METRICS_PORT": "0",
}
OURS = "whatsapp:+14155238886"


def eventually(look: Callable[[], object], within_seconds: float, what: str) -> float:
    """Look until it holds; returns how long that took, and fails with `what` was waited for."""
    began = time.monotonic()
    while not look():
        assert time.monotonic() - began < within_seconds, f"not within {within_seconds:g} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass
class Program:
    """One of our commands, its output in a file."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    port: int = 0
    """Of one that listens."""
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        return (self.directory / f"{self.name}.txt").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        with (self.directory / f"{self.name}.txt").open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, "-m", *self.arguments],
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def workers(self) -> list[Process]:
        """The processes that serve: those of a supervisor, oldest first, or the program itself."""
        found = [each for each in descendants(self.process.pid) if "spawn_main" in each.command]
        return sorted(found, key=lambda each: (each.started, each.pid))

    def pids(self) -> list[int]:
        """Of everything that belongs to it."""
        return [self.process.pid, *(each.pid for each in descendants(self.process.pid))]

    def stop(self, within_seconds: float = 40.0) -> tuple[int, float]:
        """Ask it to stop; returns its exit code, and how long that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_seconds), time.monotonic() - began

    def end(self) -> None:
        """Whatever state it is in."""
        if self._process is None:
            return
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for each in below:
            if each.is_alive:
                os.kill(each.pid, signal.SIGKILL)


def cpu_seconds(pids: Sequence[int]) -> float:
    """What these processes have used so far, as the kernel counts it; nothing for one that has ended."""
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        except OSError:
            continue
        ticks += int(stat[11]) + int(stat[12])
    return ticks / TICKS_PER_SECOND


class Valkey(EmbeddedValkey):
    """One that may take its time to load what it holds, and is not waited for then."""

    entry_microseconds = 0

    def _prepare(self, lock: int) -> None:
        super()._prepare(lock)
        with (self.directory.path / "valkey.conf").open("a") as settings:
            settings.write(f"key-load-delay {self.entry_microseconds}\nloading-process-events-interval-bytes 1024\n")

    def _wait_until_ready(self, timeout_seconds: float) -> None:
        if not self.entry_microseconds:
            super()._wait_until_ready(timeout_seconds)


@dataclass
class System:
    """Valkey behind a proxy, Postgres, a Twilio, and our programs."""

    directory: Path
    valkey: Valkey
    proxy: Proxy
    witness: Witness
    settings: Mapping[str, str]
    programs: dict[str, Program] = field(default_factory=dict)
    contacts: list[str] = field(default_factory=list)
    """Who wrote, each once, the newest last."""
    _sids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def redis(self) -> Any:
        """The server itself, past the proxy."""
        return redis.Redis.from_url(self.valkey.url, socket_timeout=5)

    def program(self, name: str, *arguments: str, **settings: str) -> Program:
        """A program that is not started yet."""
        program = Program(name, arguments, clean_environment(**{**self.settings, **settings}), self.directory)
        self.programs[name] = program
        return program

    def door(self, **settings: str) -> Program:
        port = free_port()
        door = self.program("webhook", "uvicorn", "webhook:app", "--port", str(port), **settings)
        door.port = port
        return door

    def handlers(self, workers: int = 1, name: str = "handlers", **settings: str) -> Program:
        return self.program(name, "faststream", "run", "handlers:app", "--workers", str(workers), **settings)

    def next_sid(self) -> str:
        return f"SM{next(self._sids):032}"

    def append(self) -> tuple[int, str]:
        """A contact writes; returns the partition and the id of the entry."""
        self.contacts.append(f"whatsapp:+55119{len(self.contacts) + 1:08}")
        thread = f"{OURS}|{self.contacts[-1]}"
        data = MessageReceived(sid=self.next_sid(), kind="text", body="Oi", form={})
        event = new_event(data, subject=thread, source="test")
        partition = partition_of_subject(thread, PARTITIONS)
        with self.redis as client:
            return partition, client.xadd(stream_key(partition), {FIELD: encode(event)}).decode()

    def append_everywhere(self) -> dict[int, str]:
        """At least one message in each partition; returns the last of each."""
        found: dict[int, str] = {}
        while len(found) < PARTITIONS:
            partition, entry_id = self.append()
            found[partition] = entry_id
        return found

    def are_handled(self, entries: Mapping[int, str], group: bytes = b"responder") -> bool:
        """Whether the group's marks have passed these entries."""
        with self.redis as client:
            for partition, entry_id in entries.items():
                try:
                    infos = client.xinfo_groups(stream_key(partition))
                except redis.ResponseError:
                    return False
                marks = {info["name"]: info["last-delivered-id"].decode() for info in infos}
                if group not in marks or position_of_entry_id(marks[group]) < position_of_entry_id(entry_id):
                    return False
        return True

    def are_idle(self) -> bool:
        """Whether every group has finished everything."""
        with self.redis as client:
            for partition in range(PARTITIONS):
                head = client.xinfo_stream(stream_key(partition))["last-generated-id"]
                marks = [info["last-delivered-id"] for info in client.xinfo_groups(stream_key(partition))]
                if len(marks) != len(GROUPS) or set(marks) != {head}:
                    return False
        return True

    def holders(self) -> list[bytes | None]:
        """Who holds each partition."""
        with self.redis as client:
            found: list[bytes | None] = client.mget([lease_key(partition) for partition in range(PARTITIONS)])
            return found

    def is_served(self) -> bool:
        return None not in self.holders()

    def end(self) -> None:
        for program in self.programs.values():
            program.end()

    def forget_owners(self) -> None:
        """Whoever comes next waits for nobody's lease."""
        with self.redis as client:
            client.delete(MEMBERS_KEY, HOLDERS_KEY, *map(lease_key, range(PARTITIONS)))


@contextmanager
def running_servers(directory: Path, **settings: str) -> Iterator[System]:
    """The servers, and no program yet; whatever happens, nothing is left."""
    valkey, postgres = Valkey(directory / "valkey", free_port()), EmbeddedPostgres(directory / "postgres", free_port())
    try:
        valkey.start()
        postgres.start()
        with Proxy(valkey.url).in_thread() as proxy:
            port = free_port()
            urls = {"REDIS_URL": proxy.url, "DATABASE_URL": postgres.url, "TWILIO_API_URL": f"http://{HOST}:{port}"}
            witness = Witness(f"http://{HOST}:{port}")
            system = System(directory, valkey, proxy, witness, {**SETTINGS, **urls, **settings})
            migrate = [str(PROSA), "migrate"]
            environment = clean_environment(**system.settings)
            subprocess.run(migrate, cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
            twilio = Program("twilio", ("simulator", "--port", str(port)), clean_environment(**system.settings), directory)
            twilio.start()
            try:
                eventually(lambda: is_taken(port), START_SECONDS, "the simulator listens")
                yield system
            finally:
                system.end()
                twilio.end()
    finally:
        postgres.stop()
        valkey.stop()
