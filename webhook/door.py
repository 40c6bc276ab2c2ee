"""The webhook put together: limits, then signature, then fields, then the log."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import tracing
from settings import Settings, load_settings, warn_of_misspelt_settings
from streams.cancellation import end
from streams.errors import FatalError, LogUnavailable
from streams.events import MessageReceived, MessageStatusChanged
from streams.log import EventLog
from telemetry import configure_logging, log
from webhook.bounded_log import BoundedLog
from webhook.ending import Ending, EndingOfProcess, end_in_order
from webhook.endpoints import HealthEndpoints, Reading, TwilioEndpoint
from webhook.forms import Form, message_received, message_status_changed
from webhook.limits import Limits, RequestLimits
from webhook.signature import SignatureCheck

MESSAGES_PATH = "/webhooks/twilio/messages"
STATUS_PATH = "/webhooks/twilio/status"

LOOK_SECONDS = 2.0
"""How often a process that has not reached its log yet looks for it by itself."""


def door_from_environment() -> ASGIApp:
    """The webhook as the environment configures it. Raises `ConfigurationError`."""
    from streams.engines.choose import event_log

    settings = load_settings()
    configure_logging(settings, process="webhook")
    warn_of_misspelt_settings()
    end_in_order()
    return create_door(settings, event_log(settings), ending=EndingOfProcess())


def create_door(
    settings: Settings,
    event_log: EventLog,
    limits: Limits | None = None,
    *,
    ending: Ending | None = None,
) -> ASGIApp:
    """
    The webhook on any log, as an ASGI application.

    It starts while the log is down, answers 503 until it is there, and opens and closes it. What comes of a log that must not be
    used is up to `ending`.
    """
    limits, ending = limits or Limits(), ending or Ending()
    events = BoundedLog(event_log, limits.append_seconds)
    health = HealthEndpoints(events, ending)
    tokens = [token.get_secret_value() for token in settings.twilio_auth_token]

    endpoints = {
        path: TwilioEndpoint(path, reading, SignatureCheck(settings.public_base_url, path, tokens), events, ending)
        for path, reading in _readings(settings).items()
    }
    api = FastAPI(
        title="Prosa webhook",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect turns Twilio's POST into a GET
        lifespan=partial(_lifespan, events, ending),
    )
    api.router.routes += [
        *(Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", health.metrics),
    ]
    return RequestLimits(Door(api, endpoints, ending), limits)


class Door:
    """
    The application behind the limits: Twilio's posts take a short cut past the framework, which is a fourth of their time.

    A start that is refused on purpose is told in one line, without a traceback.
    """

    def __init__(self, api: FastAPI, endpoints: Mapping[str, TwilioEndpoint], ending: Ending) -> None:
        self._api = api
        self._endpoints = endpoints
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._api(scope, receive, partial(_send_of_lifespan, send, self._ending))
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._endpoints:
            await self._endpoints[scope["path"]](scope, receive, send)
        else:
            await self._api(scope, receive, send)


async def _send_of_lifespan(send: Send, ending: Ending, message: Message) -> None:
    """Tell the server how it went, after whoever ends the process; a refusal is still being handled then."""
    refusal = sys.exc_info()[1]
    if message["type"] == "lifespan.startup.failed" and isinstance(refusal, FatalError):
        message = {**message, "message": f"{type(refusal).__name__}: {refusal}"}
        await ending.refused(refusal)
    elif message["type"] == "lifespan.shutdown.complete":
        await ending.stopped()
    await send(message)


@asynccontextmanager
async def _lifespan(events: BoundedLog, ending: Ending, _: FastAPI) -> AsyncIterator[None]:
    looking: list[asyncio.Task[None]] = []
    try:
        async with tracing.exported("prosa-webhook"):
            try:
                await events.open()
            except LogUnavailable as error:
                log.warning("log.not_reached", reason=str(error), answering=503)
                looking.append(asyncio.create_task(_look_until_opened(events, ending)))
            log.info("started", pid=os.getpid())
            yield
            log.info("stopped")
    finally:
        await end(looking)
        await events.close()


async def _look_until_opened(events: BoundedLog, ending: Ending) -> None:
    """A log that must not be used is found also where nobody asks for it: no message may come for hours."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        with suppress(LogUnavailable):
            try:
                await events.open()
            except FatalError as error:
                ending.fatal(error)
            return


def _readings(settings: Settings) -> Mapping[str, Reading]:
    account, secret = settings.twilio_account_sid, settings.secret_key.get_secret_value()

    def read_message(form: Form, _: bytes) -> tuple[str, MessageReceived]:
        return message_received(form, account)

    def read_status(form: Form, query: bytes) -> tuple[str, MessageStatusChanged]:
        return message_status_changed(form, query, account, secret)

    return {MESSAGES_PATH: read_message, STATUS_PATH: read_status}
