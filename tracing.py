"""
Traces, for who asks for them: one trace from the webhook's request to Twilio's call, across the log.

Nothing is imported and nothing is done until the environment names a collector in `OTEL_EXPORTER_OTLP_ENDPOINT` (or
`..._TRACES_ENDPOINT`) and the extra `otel` is installed; OpenTelemetry's other variables configure the rest. A span carries
ids, codes and counts, never message text, addresses or secrets: an exception is told by its class alone, since its words may
hold them.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal, ParamSpec, Protocol, TypeAlias, TypeVar

from telemetry import log

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OpenTelemetrySpan
    from opentelemetry.trace import Tracer

FLUSH_SECONDS = 3.0
"""How long a process that stops waits for its last spans to be taken."""

IN_ADDRESS = "trace"
"""The name of a traceparent in the query of an address of ours."""

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
Attributes: TypeAlias = Mapping[str, str | int | float | bool | None]
"""Those that are None are left out."""

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

_tracer: "Tracer | None" = None


class Span(Protocol):
    """What happens now, and what is known of it meanwhile."""

    def note(self, attributes: Attributes, /) -> None:
        """Say more about it."""

    def fail(self, error_type: str, /) -> None:
        """It came to nothing: an error's class, or a status code."""


def is_on() -> bool:
    """Whether anybody wants spans: what costs something to find out is not found out otherwise."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    link: str | None = None,
) -> AbstractContextManager[Span]:
    """
    A span around what follows, below the one that is open here.

    A `parent` is the traceparent of one elsewhere; "" means none, whatever is open. A `link` is one that this has to do with. An
    exception that passes through is its failure.
    """
    if _tracer is None:
        return _NO_SPAN
    return _opened(_tracer, name, kind, attributes or {}, parent, link)


def traced(name: str) -> Callable[[Callable[_P, Awaitable[_Result]]], Callable[_P, Awaitable[_Result]]]:
    """Decorate a coroutine function: each call is a span of this name."""

    def decorate(act: Callable[_P, Awaitable[_Result]]) -> Callable[_P, Awaitable[_Result]]:
        @wraps(act)
        async def within_span(*args: _P.args, **kwargs: _P.kwargs) -> _Result:
            with span(name):
                return await act(*args, **kwargs)

        return within_span

    return decorate


def traceparent() -> str | None:
    """The open span, as an event or an address carries it on; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def address_query() -> dict[str, str]:
    """The open span for the query of an address that we give away and get back signed; empty where there is none."""
    open_here = traceparent()
    return {IN_ADDRESS: open_here} if open_here else {}


def note(attributes: Attributes) -> None:
    """Say more about the open span."""
    if _tracer is not None:
        _open_here().note(attributes)


def fail(error: BaseException) -> None:
    """The open span failed by an error that is not raised through it."""
    if _tracer is not None:
        _open_here().fail(type(error).__name__)


@asynccontextmanager
async def exported(service: str, exporter: "SpanExporter | None" = None) -> AsyncIterator[None]:
    """
    Trace this process meanwhile, and hand over what is left at the end; a collector that is away holds nothing up.

    Without an exporter of a test's own, the environment decides whether anything happens.
    """
    global _tracer
    if exporter is None and not (_is_wanted() and _is_installed()):
        yield
        return
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter or _otlp_exporter()))
    _tracer = provider.get_tracer("prosa")
    try:
        yield
    finally:
        _tracer = None
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, FLUSH_SECONDS)


def _is_wanted() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_"))


def _is_installed() -> bool:
    try:
        version("opentelemetry-sdk"), version("opentelemetry-exporter-otlp-proto-http")
    except PackageNotFoundError as missing:
        log.warning("tracing.not_installed", missing=missing.name, remedy="install the extra otel")
        return False
    return True


def _otlp_exporter() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _resource(service: str) -> "Resource":
    """Who tells: the environment's name for the service comes before ours."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = {"service.name": service, "service.version": version("prosa")}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


class _NoSpan:
    """What is nothing, and costs as much."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def note(self, _: Attributes, /) -> None:
        return None

    def fail(self, _: str, /) -> None:
        return None


_NO_SPAN = _NoSpan()


class _OpenSpan:
    def __init__(self, inner: "OpenTelemetrySpan") -> None:
        self._inner = inner

    def note(self, attributes: Attributes) -> None:
        self._inner.set_attributes(_present(attributes))

    def fail(self, error_type: str) -> None:
        from opentelemetry.trace import StatusCode

        self._inner.set_attribute("error.type", error_type)
        self._inner.set_status(StatusCode.ERROR, error_type)


def _open_here() -> Span:
    from opentelemetry.trace import get_current_span

    return _OpenSpan(get_current_span())


@contextmanager
def _opened(
    tracer: "Tracer", name: str, kind: Kind, attributes: Attributes, parent: str | None, link: str | None
) -> Iterator[Span]:
    from opentelemetry.trace import Link, SpanKind, get_current_span

    linked = get_current_span(_context_of(link)).get_span_context() if link else None
    with tracer.start_as_current_span(
        name,
        context=None if parent is None else _context_of(parent),
        kind=SpanKind[kind.upper()],
        attributes=_present(attributes),
        links=[Link(linked)] if linked and linked.is_valid else (),
        record_exception=False,
        set_status_on_exception=False,
    ) as inner:
        opened = _OpenSpan(inner)
        try:
            yield opened
        except BaseException as error:
            opened.fail(type(error).__name__)
            raise


def _context_of(parent: str) -> "Context":
    """Where the span of a traceparent is open; where none is, if it is not one."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent}, context=Context())


def _present(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}
