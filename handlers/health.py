"""Health and metrics of a process that has no web server of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

import metrics
from telemetry import log

SHUTDOWN_SECONDS = 1.0
"""A question that is still being answered holds a stop up no longer; aiohttp's own limit is a minute."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """
    What a process tells of itself.

    `hung` and `problems` tell what keeps it from living, and from doing its work now; nothing where all is well. `observe` sets
    the gauges before they are shown, and must not wait for anything.
    """

    process: metrics.Process
    hung: Callable[[], Sequence[str]]
    problems: Callable[[], Awaitable[Sequence[str]]]
    observe: Callable[[], None]


@asynccontextmanager
async def served(host: str, port: int, vitals: Vitals) -> AsyncIterator[None]:
    """Serve `/health/live`, `/health/ready` and `/metrics` meanwhile; a port that is taken is told and gone without."""
    app = web.Application()
    app.router.add_get("/health/live", _live(vitals))
    app.router.add_get("/health/ready", _ready(vitals))
    app.router.add_get("/metrics", _metrics(vitals))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        log.error("health.not_served", host=host, port=port, error=error.strerror, remedy="set METRICS_PORT, or 0 for none")
    try:
        yield
    finally:
        await runner.cleanup()


_Answer = Callable[[web.Request], Awaitable[web.Response]]


def _live(vitals: Vitals) -> _Answer:
    async def live(_: web.Request) -> web.Response:
        return _told(vitals.hung())

    return live


def _ready(vitals: Vitals) -> _Answer:
    async def ready(_: web.Request) -> web.Response:
        return _told([*vitals.hung(), *await vitals.problems()])

    return ready


def _metrics(vitals: Vitals) -> _Answer:
    async def shown(_: web.Request) -> web.Response:
        vitals.observe()
        return web.Response(body=metrics.exposition(vitals.process), headers={"Content-Type": metrics.CONTENT_TYPE})

    return shown


def _told(problems: Sequence[str]) -> web.Response:
    return web.json_response(
        {"status": "unavailable" if problems else "ok", "problems": list(problems)}, status=503 if problems else 200
    )
