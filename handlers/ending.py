"""How a process ends: by its supervisor's wish, with its parent, or by a fatal error with a non-zero exit."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import wait
from types import FrameType

from streams.errors import EX_CONFIG, FatalError
from streams.outage import place_of
from telemetry import log

LOOK_SECONDS = 0.5
STOP_SECONDS = 25.0
"""How long a stop may take at most: groups drain for 10, then the projector, and FastStream's supervisor kills after 30."""
IS_REFUSED = signal.SIGUSR1
"""What a worker tells its supervisor by whose end shall be the end of all, with its exit code."""
WORKER_IS_UP = signal.SIGUSR2
"""And this, once it serves."""
RESPAWN_PAUSE_SECONDS = 5.0
"""A supervisor starts a worker again at once; one that ended by a fatal error takes its time, so as not to spin."""
HEARD_SECONDS = 0.5
"""A supervisor that was told to stop hears of it before the worker's end, which it would answer with another worker."""
LAST_WORD_SECONDS = 5.0
"""How long a supervisor waits for that end, so as not to cut it short."""


class Ending:
    """Turns a fatal error anywhere in the process into a graceful stop and the exit code of that error."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._is_refused = False
        self._has_stopped = threading.Event()
        self._ask: Callable[[], None] | None = None

    @property
    def is_fatal(self) -> bool:
        """Whether the process is to stop because of an error."""
        return self._error is not None

    def fatal(self, error: BaseException) -> None:
        """Stop the process; may be called from anywhere in its loop, the first error counts."""
        if self._error is None:
            self._error = error
            reason = str(error) if isinstance(error, FatalError) else type(error).__name__
            log.critical("process.failed", error=type(error).__name__, reason=reason, at=place_of(error) or None)
        if self._ask is not None:
            self._ask()

    def refused(self, error: FatalError) -> None:
        """Stop the process, which has not begun to serve, and where it is one of several workers its supervisor too."""
        self._is_refused = True
        self.fatal(error)

    async def limited(self) -> None:
        """The stop has begun, and may not hang: past its limit the process ends as if it had been killed."""
        log.info("stopping")
        threading.Thread(target=_exit_after, args=(STOP_SECONDS, self._has_stopped), name="limits the stop", daemon=True).start()

    async def over(self) -> None:
        """The stop has come to its end: whoever started the application within a process of their own may go on."""
        self._has_stopped.set()

    @asynccontextmanager
    async def watched(self, ask: Callable[[], None], worker_id: int | None) -> AsyncIterator[None]:
        """Let fatal errors ask the application to stop, and end with its parent if this is one worker of several."""
        self._ask = ask
        if worker_id is not None:
            _end_with_parent()
            _tell_supervisor(WORKER_IS_UP)
        yield
        if self._error is not None:
            code = self._error.exit_code if isinstance(self._error, FatalError) else FatalError.exit_code
            if worker_id is not None:
                ends_all = self._is_refused or code == EX_CONFIG
                if ends_all:
                    _tell_supervisor(IS_REFUSED)
                await asyncio.sleep(HEARD_SECONDS if ends_all else RESPAWN_PAUSE_SECONDS)
            raise SystemExit(code)


def listen_to_workers() -> None:
    """
    What workers tell their supervisor, which is FastStream's: it loads the application too, and starts them by `multiprocessing`.

    Where the start is refused it must stop, as one process alone would: it would start workers again for ever, and hide why. And
    when it is asked to stop, it asks all workers at once: FastStream would wait for each before it asks the next, and three that
    drain take three times as long.
    """
    signal.signal(IS_REFUSED, lambda *_: _stop_supervisor())
    signal.signal(WORKER_IS_UP, lambda *_: _pass_stops_on())


def _stop_supervisor() -> None:
    """
    The worker that told of it ends by itself; the others are asked to.

    What does not stop in time is killed: at its exit an interpreter waits for its children for ever.
    """
    workers = multiprocessing.active_children()
    if workers:
        wait([worker.sentinel for worker in workers], LAST_WORD_SECONDS)
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    for worker in workers:
        worker.kill()
    raise SystemExit(max((worker.exitcode or 0 for worker in workers), default=0) or FatalError.exit_code)


def _pass_stops_on() -> None:
    """Wrap FastStream's own handlers, which are there only after the application was loaded; a second time changes nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, _PassingOn):
            signal.signal(number, _PassingOn(handler))


class _PassingOn:
    """A handler that asks all workers to stop, and then does what it did before."""

    def __init__(self, handler: Callable[[int, FrameType | None], object]) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for worker in multiprocessing.active_children():
            worker.terminate()
        self._handler(number, frame)


def _tell_supervisor(what: signal.Signals) -> None:
    """Nobody else: where it has ended, its place is taken by a process that may not know what we mean."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and supervisor.pid == os.getppid():
        os.kill(supervisor.pid, what)


def _end_with_parent() -> None:
    """A supervisor that was killed leaves its workers behind; they stop as if it had asked them to, and within the same limit."""
    parent = os.getppid()

    def watch() -> None:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None:
            supervisor.join()  # tells of an end long before this, while we were being loaded, too
        while os.getppid() == parent and supervisor is None:
            time.sleep(LOOK_SECONDS)
        log.warning("supervisor.ended")
        os.kill(os.getpid(), signal.SIGTERM)
        _exit_after(STOP_SECONDS, threading.Event())

    threading.Thread(target=watch, name="watches the parent", daemon=True).start()


def _exit_after(seconds: float, unless: threading.Event) -> None:
    """The last resort of a thread beside a loop that may hang: leases lapse, nothing is lost."""
    if unless.wait(seconds):
        return
    log.critical("stop.timed_out", seconds=seconds)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(FatalError.exit_code)
