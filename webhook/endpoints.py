"""Twilio's two webhooks as ASGI applications: signature, fields, append, and one constant answer for each outcome."""

from collections.abc import Callable
from enum import Enum
from time import perf_counter

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

import metrics
import tracing
from streams.crash_points import reached
from streams.envelope import new_event
from streams.errors import FatalError, ProsaError
from streams.events import Event, MessageReceived, MessageStatusChanged
from telemetry import log, thread_hash
from webhook.bounded_log import BoundedLog
from webhook.ending import Ending
from webhook.forms import Form, MalformedForm, contradicts_itself, read_form, storable
from webhook.signature import SignatureCheck, signature_headers
from webhook.spans import received

SOURCE = "prosa/webhook"
_FORM_TYPE = b"application/x-www-form-urlencoded"
_RETRY = {"retry-after": "1"}

Reading = Callable[[Form, bytes], tuple[str, MessageReceived | MessageStatusChanged]]
"""From a form and the raw query to the thread and what happened; raises `MalformedForm`."""


class Outcome(Enum):
    """What became of a webhook, and the whole answer to it: nothing of the request is echoed."""

    STORED = Response('<?xml version="1.0" encoding="UTF-8"?><Response/>', media_type="text/xml")
    FORBIDDEN = PlainTextResponse("Forbidden\n", 403)
    MALFORMED = PlainTextResponse("Malformed\n", 400)
    UNAVAILABLE = PlainTextResponse("Try again\n", 503, _RETRY)


class TwilioEndpoint:
    """
    One webhook. It answers 200 only for what is durable, and never 429, which Twilio takes for a failure.

    Whatever the log cannot store now is answered with 503; what the log can never store stops the process too, since it serves
    nobody. The body comes in one piece: `RequestLimits` has read it.
    """

    def __init__(self, path: str, reading: Reading, check: SignatureCheck, events: BoundedLog, ending: Ending) -> None:
        self._path = path
        self._reading = reading
        self._check = check
        self._events = events
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        message = await receive()
        outcome = await self._outcome_of(scope, message.get("body", b""))
        await outcome.value(scope, receive, send)
        metrics.WEBHOOK_SECONDS.of(self._path, outcome.name.lower()).observe(perf_counter() - started)

    async def _outcome_of(self, scope: Scope, body: bytes) -> Outcome:
        try:
            form = self._signed_form(scope, body)
            if form is None:
                return Outcome.FORBIDDEN
            thread, data = self._reading(storable(form), scope["query_string"])
        except MalformedForm as error:
            log.warning("webhook.malformed", path=self._path, reason=error.reason, fields=error.fields)
            return Outcome.MALFORMED
        with received(self._path, thread, data, scope["query_string"]) as span:
            outcome = await self._append(thread, data)
            span.note({"http.response.status_code": outcome.value.status_code})
            return outcome

    def _signed_form(self, scope: Scope, body: bytes) -> Form | None:
        """The form, or None where the signature is wrong. Raises `MalformedForm` where it cannot be checked, or is no form."""
        headers, query = signature_headers(scope["headers"]), scope["query_string"]
        if _is_form(scope):
            form = read_form(body)
            if self._check.accepts_form(query, form, headers):
                return form
        elif self._check.accepts_body(query, body, headers):
            raise MalformedForm("not a form")
        log.warning(
            "webhook.wrongly_signed",
            path=self._path,
            signed_for=self._check.address,
            has_signature=headers.signature is not None,
            is_form=_is_form(scope),
            body_bytes=len(body),
        )
        return None

    async def _append(self, thread: str, data: MessageReceived | MessageStatusChanged) -> Outcome:
        event = new_event(data, subject=thread, source=SOURCE, traceparent=tracing.traceparent())
        reached("webhook.verified")
        try:
            await self._events.append(event)
        except FatalError as error:
            tracing.fail(error)
            self._ending.fatal(error)
            return Outcome.UNAVAILABLE
        except ProsaError as error:
            tracing.fail(error)
            log.warning("webhook.not_stored", path=self._path, error=type(error).__name__, reason=str(error), **self._ids(event))
            return Outcome.UNAVAILABLE
        reached("webhook.appended")
        self._tell(event)
        return Outcome.STORED

    def _tell(self, event: Event) -> None:
        """One line of the story; the steps of a message on its way are told at DEBUG."""
        match event.data:
            case MessageReceived(kind=kind, form=form):
                if contradicts_itself(form):
                    log.warning("webhook.contradicted", fields=("From", "WaId"), **self._ids(event))
                log.info("message.received", kind=None if kind == "text" else kind, **self._ids(event))
            case MessageStatusChanged(status="delivered" | "read" as status):
                log.info(f"reply.{status}", **self._ids(event))
            case MessageStatusChanged(status="failed" | "undelivered" as status, error_code=code):
                log.warning("reply.not_delivered", status=status, code=code, **self._ids(event))
            case MessageStatusChanged(status=status):
                log.debug("reply.under_way", status=status, **self._ids(event))

    def _ids(self, event: Event) -> dict[str, str | int]:
        return {
            "event_id": event.id,
            "correlation_id": event.correlation_id,
            "thread_hash": thread_hash(event.subject),
            "partition": self._events.partition_of(event),
            "owner": event.owner,
        }


class HealthEndpoints:
    """Whether the process lives, whether it can serve, and its metrics."""

    def __init__(self, events: BoundedLog, ending: Ending) -> None:
        self._events = events
        self._ending = ending

    async def live(self, _: Request) -> Response:
        """200 as long as requests are answered at all: the one loop of this process is the one that answers."""
        return _told([])

    async def ready(self, _: Request) -> Response:
        """200 while the log takes events, else 503 and why."""
        try:
            return _told(await self._events.problems())
        except FatalError as error:
            self._ending.fatal(error)
            return _told([f"the log must not be used: {error}"])

    async def metrics(self, _: Request) -> Response:
        """Prometheus's text format."""
        return Response(metrics.exposition(metrics.WEBHOOK), headers={"content-type": metrics.CONTENT_TYPE})


def _told(problems: list[str]) -> Response:
    status = 503 if problems else 200
    return JSONResponse(
        {"status": "unavailable" if problems else "ok", "problems": problems}, status, _RETRY if problems else None
    )


def _is_form(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(types) == 1 and types[0].partition(b";")[0].strip().lower() == _FORM_TYPE
