"""Health and metrics of a process that has no web server of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from telemetry import log

Check = Callable[[], Sequence[str]]
"""What keeps the process from doing its work now; nothing where all is well."""


@asynccontextmanager
async def served(host: str, port: int, *, live: Check, ready: Check) -> AsyncIterator[None]:
    """Serve `/health/live`, `/health/ready` and `/metrics` meanwhile; a port that is taken is told and gone without."""
    app = web.Application()
    app.router.add_get("/health/live", _answer(live))
    app.router.add_get("/health/ready", _answer(ready))
    app.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        log.error("health.not_served", host=host, port=port, error=error.strerror, remedy="set METRICS_PORT, or 0 for none")
    try:
        yield
    finally:
        await runner.cleanup()


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        problems = list(check())
        return web.json_response(
            {"status": "unavailable" if problems else "ok", "problems": problems}, status=503 if problems else 200
        )

    return answer


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
