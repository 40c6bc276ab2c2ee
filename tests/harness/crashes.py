"""
Crash points armed in a process: at the named passing of a point it ends, stops or leaves.

Passings are counted over all processes of a system, so that `sender.called:2` is the second call that anybody made, and a process
that was started again does not die at it again.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from streams import crash_points

FIRED = "fired.json"
EXIT_CODE = 70


class Action(StrEnum):
    """What a process does to itself where it is told to."""

    KILL = "kill"
    """SIGKILL."""
    STOP = "stop"
    """SIGSTOP; somebody else must wake it."""
    EXIT = "exit"
    """It leaves with an exit code, and cleans nothing up."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The `occurrence`-th time (from 1 on) that any process of the system comes to the point."""

    point: str
    occurrence: int
    action: Action

    @property
    def name(self) -> str:
        """Of its class, in a table: `kill at sender.*`."""
        return f"{self.action} at {self.point.partition('.')[0]}.*"

    def __str__(self) -> str:
        return f"{self.point}:{self.occurrence} {self.action}"


@dataclass(frozen=True, slots=True)
class Fired:
    """That it happened: in which process, and when, by the monotonic and by the wall clock, in seconds."""

    pid: int
    monotonic: float
    at: float


class Arming:
    """Takes the place of `crash_points.on_reached`: counts in files of a folder, and acts once."""

    def __init__(self, directory: Path, crash: Crash | None) -> None:
        self._directory = directory
        self._crash = crash
        self._files: dict[str, int] = {}

    def __call__(self, point: str) -> None:
        crash = self._crash
        if crash is not None and crash.point != point:
            return
        passed = self._count(point)
        if crash is not None and passed == crash.occurrence:
            _note(self._directory, Fired(os.getpid(), time.monotonic(), time.time()))
            _act(crash.action)

    def _count(self, point: str) -> int:
        if point not in self._files:
            self._files[point] = os.open(self._directory / point, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        file = self._files[point]
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            os.write(file, b".")
            return os.fstat(file).st_size
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def arm(directory: Path, crash: Crash | None) -> None:
    """Count from here on in this process, and act where told to; without a crash every point is counted."""
    crash_points.on_reached = Arming(directory, crash)


def passings(directory: Path) -> Mapping[str, int]:
    """How often each point was passed."""
    return {point: (directory / point).stat().st_size for point in crash_points.POINTS if (directory / point).exists()}


def fired(directory: Path) -> Fired | None:
    """When it happened, once it has."""
    try:
        return Fired(**json.loads((directory / FIRED).read_text()))
    except FileNotFoundError:
        return None


def _note(directory: Path, what: Fired) -> None:
    """Whole or not at all: a reader may look at any time, and the process dies right after."""
    written = directory / f"{FIRED}.{os.getpid()}"
    written.write_text(json.dumps(asdict(what)))
    written.rename(directory / FIRED)


def _act(action: Action) -> None:
    match action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        case Action.EXIT:
            os._exit(EXIT_CODE)
