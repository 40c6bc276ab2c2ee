"""Our own servers stop and start while a test goes on: in order, by a kill, quickly or slowly."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from simulator.servers import EmbeddedServer
from tests.harness.process_faults import ended, family_of

_KEEPER = ThreadPoolExecutor(1, "server keeper")
"""Linux ends a server with the thread that started it: this one lasts as long as the program."""


@asynccontextmanager
async def shut_down(server: EmbeddedServer) -> AsyncIterator[None]:
    """Asked to stop, and started again at the end."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await start(server)


@asynccontextmanager
async def killed(server: EmbeddedServer, number: signal.Signals = signal.SIGKILL) -> AsyncIterator[None]:
    """Ended by a signal, and started again at the end."""
    await kill(server, number)
    try:
        yield
    finally:
        await start(server)


async def kill(server: EmbeddedServer, number: signal.Signals = signal.SIGKILL) -> None:
    """Returns when it is gone, and all that it began: a session of a dead Postgres notices it, but may serve once more before."""
    family = family_of(server.process.pid)
    server.process.send_signal(number)
    await asyncio.to_thread(server.process.wait)
    await ended(*family)


async def start(server: EmbeddedServer) -> None:
    """Returns when it answers."""
    await begin_to_start(server)


def begin_to_start(server: EmbeddedServer, *options: str) -> Awaitable[None]:
    """Start with these options at the end of its command line; to be awaited until it answers."""

    def start() -> None:
        ordinary = server._command()
        server._command = lambda: [*ordinary, *options]  # type: ignore[method-assign]
        try:
            server.start()
        finally:
            del server._command  # the class's own shows again

    return asyncio.get_running_loop().run_in_executor(_KEEPER, start)
