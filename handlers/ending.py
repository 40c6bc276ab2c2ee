"""How a process ends: by its supervisor's wish, with its parent, or by a fatal error with a non-zero exit."""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from streams.errors import WRONG_SETTINGS, FatalError
from streams.outage import place_of
from telemetry import log

LOOK_SECONDS = 0.5
STOP_SECONDS = 15.0
"""How long workers may take that were asked to stop: they drain for 10."""
SETTINGS_ARE_WRONG = signal.SIGUSR1
"""What a worker tells its supervisor by."""
RESPAWN_PAUSE_SECONDS = 5.0
"""A supervisor starts a worker again at once; one that ended by a fatal error takes its time, so as not to spin."""


class Ending:
    """Turns a fatal error anywhere in the process into a graceful stop and the exit code of that error."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
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
            log.critical("fatal; this process stops", error=type(error).__name__, reason=reason, at=place_of(error) or None)
        if self._ask is not None:
            self._ask()

    @asynccontextmanager
    async def watched(self, ask: Callable[[], None], worker_id: int | None) -> AsyncIterator[None]:
        """Let fatal errors ask the application to stop, and end with its parent if this is one worker of several."""
        self._ask = ask
        if worker_id is not None:
            _end_with_parent()
        yield
        if self._error is not None:
            code = self._error.exit_code if isinstance(self._error, FatalError) else FatalError.exit_code
            if worker_id is not None:
                if code == WRONG_SETTINGS:
                    os.kill(os.getppid(), SETTINGS_ARE_WRONG)
                await asyncio.sleep(RESPAWN_PAUSE_SECONDS)
            raise SystemExit(code)


def stop_where_settings_are_wrong() -> None:
    """
    Let a worker stop its supervisor, which would start it again for ever: they will not be better the next time.

    FastStream's supervisor loads the application too, and starts its workers by `multiprocessing`.
    """

    def stop(*_: object) -> None:
        workers = multiprocessing.active_children()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(STOP_SECONDS)
        raise SystemExit(WRONG_SETTINGS)

    signal.signal(SETTINGS_ARE_WRONG, stop)


def _end_with_parent() -> None:
    """A supervisor that was killed leaves its workers behind; they stop as if it had asked them to."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watches the parent", daemon=True).start()
