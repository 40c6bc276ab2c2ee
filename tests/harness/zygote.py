"""
A process that has imported everything once and forks: a start of a real process then costs a tenth of what it costs else.

It has no thread and no event loop, and has read no setting. Its children run the very entry points of production
(`faststream run handlers:app`, `uvicorn webhook:app`, …), each in a session of its own, with the environment, folder and output
that it was given; they share nothing with it but code. `random` and OpenSSL draw anew after a fork by themselves, everything else
that must differ (ULIDs, sids, secrets) comes from the kernel's randomness.

It is spoken to by JSON lines over a socket (see `nursery.py`), tells each end, and signals only children that it has not buried
yet, so that no signal ever reaches a stranger. When the other side is gone, so is it, and all its children.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, TypedDict

from tests.harness.crashes import Action, Crash, arm
from tests.harness.haste import hasten

HEAVY = (
    "aiohttp",
    "asyncpg.pool",
    "faststream._internal.cli.main",
    "handlers.processes",
    "handlers.pydantic_ai_model",
    "pydantic_ai.models.openai",
    "redis.asyncio",
    "simulator.twilio_api",
    "streams.engines.choose",
    "uvicorn.main",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "webhook.door",
)
PR_SET_PDEATHSIG = 1
READ_BYTES = 65_536


class Start(TypedDict):
    """What is asked for: `arguments` begins with the module to run; `points` is the folder where crash points are counted."""

    id: int
    arguments: list[str]
    environment: dict[str, str]
    directory: str
    output: str
    points: str | None
    crash: tuple[str, int, str] | None


class Zygote:
    """One side of the socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._children: dict[int, int] = {}
        self._unread = b""

    def serve(self) -> None:
        """Until the other side is gone."""
        wakeup, woken = socket.socketpair()
        wakeup.setblocking(False)
        woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._tell(ready=os.getpid())
        while True:
            readable, _, _ = select.select([self._channel, wakeup], [], [])
            if wakeup in readable:
                with contextlib.suppress(BlockingIOError):
                    wakeup.recv(READ_BYTES)
                self._bury()
            if self._channel in readable and not self._hear():
                return

    def kill_all(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _hear(self) -> bool:
        heard = self._channel.recv(READ_BYTES)
        *lines, self._unread = (self._unread + heard).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(heard)

    def _obey(self, request: dict[str, Any]) -> None:
        if "signal" in request:
            if request["pid"] in self._children:
                os.kill(request["pid"], request["signal"])
            return
        start: Start = request["start"]
        pid = os.fork()
        if pid == 0:
            become(start)
        self._children[pid] = start["id"]
        self._tell(started=start["id"], pid=pid, at=time.monotonic())

    def _bury(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._tell(ended=self._children.pop(pid), pid=pid, code=code, at=time.monotonic())

    def _tell(self, **fields: Any) -> None:
        self._channel.sendall(json.dumps(fields).encode() + b"\n")


def become(start: Start) -> None:
    """Turn into what was asked for. Never returns."""
    code = 1
    try:
        _leave_the_zygote(start)
        sys.argv = list(start["arguments"])
        if start["points"]:
            crash = Crash(start["crash"][0], start["crash"][1], Action(start["crash"][2])) if start["crash"] else None
            arm(Path(start["points"]), crash)
        hasten(start["environment"])
        code = _run(start["arguments"][0])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_the_zygote(start: Start) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(start["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, file in enumerate((nothing, output, output)):
        os.dup2(file, place)
    os.closerange(3, 4096)
    os.chdir(start["directory"])
    sys.path[0] = start["directory"]  # where `python -m` looks first
    os.environ.clear()
    os.environ.update(start["environment"])


def _run(module: str) -> int:
    """As `python -m` does; returns the exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - the interpreter's own last word
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    return 0


def main() -> None:
    for module in HEAVY:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a fork would tear threads apart"
    gc.collect()
    gc.freeze()
    zygote = Zygote(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other side's to answer
    try:
        zygote.serve()
    finally:
        zygote.kill_all()


if __name__ == "__main__":
    main()
