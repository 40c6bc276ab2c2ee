"""How the webhook ends under uvicorn: in order with 0, and with the error's own exit code where its log must not be used."""

import asyncio
import multiprocessing
import signal
import sys
import threading

from uvicorn.config import STARTUP_FAILURE

from streams.errors import FatalError
from telemetry import log


class Ending:
    """Turns a fatal error into a graceful stop of the server. It leaves the process to whoever serves it."""

    def __init__(self) -> None:
        self._error: FatalError | None = None

    def fatal(self, error: FatalError) -> None:
        """The log that came up is the wrong one, or unsafe: stop, gracefully, by the signal that the server handles."""
        if self._error is None:
            self._error = error
            log.critical("process.failed", error=type(error).__name__, reason=str(error))
        signal.raise_signal(signal.SIGTERM)

    async def refused(self, refusal: FatalError) -> None:
        """The start is refused; the server has not heard of it."""

    async def stopped(self) -> None:
        """All answers are out, and the log is closed; the server has not heard of it."""


class EndingOfProcess(Ending):
    """
    Ends the process too, with the exit code of its error, for a supervisor to go by.

    A lifespan cannot: the server takes what it raises, and ends with 3, or by the signal that stopped it. A callback of the loop
    can, while the server still waits for the lifespan.
    """

    async def refused(self, refusal: FatalError) -> None:
        log.critical("process.failed", error=type(refusal).__name__, reason=str(refusal))
        await _exit(refusal)

    async def stopped(self) -> None:
        if self._error is not None:
            await _exit(self._error)


async def _exit(error: FatalError) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(sys.exit, exit_code(error))
    await loop.create_future()


def exit_code(error: FatalError) -> int:
    """
    The error's own, but for one of several workers: uvicorn starts a worker again at once, whatever it ended with, and for ever.

    Only a worker that ends with this code stops it, with the other workers. What uvicorn ends with itself is 0, then.
    """
    return error.exit_code if multiprocessing.parent_process() is None else STARTUP_FAILURE


def end_in_order() -> None:
    """
    Let the process end with 0 when it is asked to stop.

    uvicorn, having drained, raises the signal that stopped it once more, for whoever handled it before. That is nobody, and the
    end would be that of a process that was killed. One of several workers is loaded later, and nobody looks at its code.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
