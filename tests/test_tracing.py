"""Tracing is nothing until it is asked for, and never holds a process up."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

import tracing
from simulator.servers import free_port

ROOT = Path(__file__).parents[1]
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

USES_EVERYTHING = """
import asyncio, sys
import handlers.spans, webhook.spans, tracing

async def use():
    async with tracing.exported("prosa-test"):
        with tracing.span("one", "client", {"a": 1}, parent="") as span:
            span.note({"b": 2})
            span.fail("Error")
        assert tracing.traceparent() is None and tracing.address_query() == {} and not tracing.is_on()

asyncio.run(use())
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


@pytest.fixture(autouse=True)
def _no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        ENDPOINT,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_SDK_DISABLED",
        "OTEL_TRACES_EXPORTER",
        "OTEL_SERVICE_NAME",
    ):
        monkeypatch.delenv(name, raising=False)


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    command = [sys.executable, "-c", USES_EVERYTHING]
    done = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert (done.stdout, done.stderr) == ("[]\n", "")


async def test_without_a_collector_every_span_is_the_same_nothing() -> None:
    async with tracing.exported("prosa-test"):
        assert tracing.span("one", "client", {"a": 1}, parent="x") is tracing.span("another")


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
async def test_the_environment_can_switch_it_off(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    async with tracing.exported("prosa-test"):
        assert not tracing.is_on()


async def test_a_collector_without_the_extra_is_told_and_gone_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setattr(tracing, "version", nothing_installed)
    with capture_logs() as lines:
        async with tracing.exported("prosa-test"):
            assert not tracing.is_on()
    assert [line["event"] for line in lines] == ["tracing.not_installed"]


@pytest.mark.parametrize("given", [None, "chosen"])
async def test_a_collector_gets_the_spans_under_the_name_of_the_process(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_collector() as (url, requests):
        monkeypatch.setenv(ENDPOINT, url)
        if given:
            monkeypatch.setenv("OTEL_SERVICE_NAME", given)
        async with tracing.exported("prosa-webhook"):
            with tracing.span("one", attributes={"asked": True, "unknown": None}):
                pass
    (request,) = requests
    (resource,) = request.resource_spans
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert names["service.name"] == (given or "prosa-webhook")
    (span,) = resource.scope_spans[0].spans
    assert (span.name, [each.key for each in span.attributes]) == ("one", ["asked"])
    assert not tracing.is_on()


async def test_a_collector_that_is_away_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    async with tracing.exported("prosa-test"):
        with tracing.span("one"):
            pass
        assert time.monotonic() - started < tracing.FLUSH_SECONDS
    assert time.monotonic() - started < 2 * tracing.FLUSH_SECONDS


async def test_each_task_has_its_own_open_span() -> None:
    exporter = InMemorySpanExporter()

    @tracing.traced("inner")
    async def inner() -> None:
        await asyncio.sleep(0)

    async def outer(name: str) -> None:
        with tracing.span(name):
            await inner()

    async with tracing.exported("prosa-test", exporter):
        await asyncio.gather(outer("a"), outer("b"))
    spans = exporter.get_finished_spans()
    outers = {span.context.span_id for span in spans if span.name != "inner"}
    assert {span.parent.span_id for span in spans if span.name == "inner" and span.parent} == outers


async def test_what_is_no_traceparent_is_no_parent_and_no_link() -> None:
    exporter = InMemorySpanExporter()
    async with tracing.exported("prosa-test", exporter):
        for nonsense in ("", "x", "00-0-0-0", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\x00"):
            with tracing.span("one", parent=nonsense, link=nonsense):
                pass
    assert [(span.parent, span.links) for span in exporter.get_finished_spans()] == [(None, ())] * 5


@asynccontextmanager
async def a_collector() -> AsyncIterator[tuple[str, list[ExportTraceServiceRequest]]]:
    requests: list[ExportTraceServiceRequest] = []

    async def take(request: web.Request) -> web.Response:
        requests.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response()

    app, port = web.Application(), free_port()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}", requests
    finally:
        await runner.cleanup()
