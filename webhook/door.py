"""The webhook put together: limits, then signature, then fields, then the log."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import tracing
from settings import Settings, load_settings, warn_of_misspelt_settings
from streams.errors import FatalError, LogUnavailable
from streams.events import MessageReceived, MessageStatusChanged
from streams.log import EventLog
from telemetry import configure_logging, log
from webhook.bounded_log import BoundedLog
from webhook.endpoints import HealthEndpoints, Reading, TwilioEndpoint
from webhook.forms import Form, message_received, message_status_changed
from webhook.limits import Limits, RequestLimits
from webhook.signature import SignatureCheck

MESSAGES_PATH = "/webhooks/twilio/messages"
STATUS_PATH = "/webhooks/twilio/status"

OnRefusal: TypeAlias = Callable[[FatalError], Awaitable[None]]


def door_from_environment() -> ASGIApp:
    """The webhook as the environment configures it. Raises `ConfigurationError`."""
    from streams.engines.choose import event_log

    settings = load_settings()
    configure_logging(settings, process="webhook")
    warn_of_misspelt_settings()
    return create_door(settings, event_log(settings), on_refusal=end_process)


async def end_process(refusal: FatalError) -> None:
    """
    End this process with the refusal's own exit code, for a supervisor to go by; uvicorn's would be 3 for whatever it was.

    A lifespan cannot: the server takes what it raises. A callback of the loop can, while the server still waits for the start.
    """
    log.critical("process.failed", error=type(refusal).__name__, reason=str(refusal))
    loop = asyncio.get_running_loop()
    loop.call_soon(sys.exit, refusal.exit_code)
    await loop.create_future()


async def leave_it_to_the_server(_: FatalError) -> None:
    """The server tells of the refusal, and stops."""


def create_door(
    settings: Settings,
    event_log: EventLog,
    limits: Limits | None = None,
    *,
    on_refusal: OnRefusal = leave_it_to_the_server,
) -> ASGIApp:
    """
    The webhook on any log, as an ASGI application.

    It starts while the log is down, answers 503 until it is there, and opens and closes it. Where the log refuses the start for
    good, `on_refusal` is awaited before the server hears of it.
    """
    limits = limits or Limits()
    events = BoundedLog(event_log, limits.append_seconds)
    health = HealthEndpoints(events)
    tokens = [token.get_secret_value() for token in settings.twilio_auth_token]

    endpoints = {
        path: TwilioEndpoint(path, reading, SignatureCheck(settings.public_base_url, path, tokens), events)
        for path, reading in _readings(settings).items()
    }
    api = FastAPI(
        title="Prosa webhook",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect turns Twilio's POST into a GET
        lifespan=partial(_lifespan, events),
    )
    api.router.routes += [
        *(Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", health.metrics),
    ]
    return RequestLimits(Door(api, endpoints, on_refusal), limits)


class Door:
    """
    The application behind the limits: Twilio's posts take a short cut past the framework, which is a fourth of their time.

    A start that is refused on purpose is told in one line, without a traceback.
    """

    def __init__(self, api: FastAPI, endpoints: Mapping[str, TwilioEndpoint], on_refusal: OnRefusal) -> None:
        self._api = api
        self._endpoints = endpoints
        self._on_refusal = on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._api(scope, receive, partial(_send_refusal_in_one_line, send, self._on_refusal))
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._endpoints:
            await self._endpoints[scope["path"]](scope, receive, send)
        else:
            await self._api(scope, receive, send)


async def _send_refusal_in_one_line(send: Send, on_refusal: OnRefusal, message: Message) -> None:
    """Called while the refusal is being handled."""
    refusal = sys.exc_info()[1]
    if message["type"] == "lifespan.startup.failed" and isinstance(refusal, FatalError):
        message = {**message, "message": f"{type(refusal).__name__}: {refusal}"}
        await on_refusal(refusal)
    await send(message)


@asynccontextmanager
async def _lifespan(events: BoundedLog, _: FastAPI) -> AsyncIterator[None]:
    try:
        async with tracing.exported("prosa-webhook"):
            await _open(events)
            log.info("started", pid=os.getpid())
            yield
            log.info("stopped")
    finally:
        await events.close()


async def _open(events: BoundedLog) -> None:
    try:
        await events.open()
    except LogUnavailable as error:
        log.warning("log.not_reached", reason=str(error), answering=503)


def _readings(settings: Settings) -> Mapping[str, Reading]:
    account, secret = settings.twilio_account_sid, settings.secret_key.get_secret_value()

    def read_message(form: Form, _: bytes) -> tuple[str, MessageReceived]:
        return message_received(form, account)

    def read_status(form: Form, query: bytes) -> tuple[str, MessageStatusChanged]:
        return message_status_changed(form, query, account, secret)

    return {MESSAGES_PATH: read_message, STATUS_PATH: read_status}
