"""One trace from the webhook's request to Twilio's call, on the real webhook and the real handlers; and what no span may tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import tracing
from handlers.model import ModelFailed
from handlers.twilio_answers import SendResult
from streams.envelope import decode
from streams.events import Event
from streams.log import Appended
from streams.partitions import thread_of
from telemetry import thread_hash
from tests.handlers.fake_twilio import DENIED, FakeTwilio
from tests.handlers.world import PARTITIONS, Model, World, Written
from tests.webhook.logs import FaultyLog, down
from tests.webhook.posts import CONTACT, SENDER, SID, message, status
from tests.webhook.serving import Client, door_on, serving

CANARY = "canary-of-the-contact"
THREAD = thread_of(SENDER, CONTACT)
STRANGER = "00-11111111111111111111111111111111-2222222222222222-01"
RECEIVED, CALLED_BACK = "POST /webhooks/twilio/messages", "POST /webhooks/twilio/status"


@dataclass
class Twilio(FakeTwilio):
    """Remembers the addresses that it is to call back."""

    callbacks: list[str] = field(default_factory=list)

    async def create_message(self, *, to: str, from_: str, body: str, status_callback: str) -> SendResult:
        self.callbacks.append(status_callback)
        return await super().create_message(to=to, from_=from_, body=body, status_callback=status_callback)


class Spans:
    """What was exported, by name."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.all: Sequence[ReadableSpan] = exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = [each for each in self.all if each.name == name]
        return span

    def parent_of(self, name: str) -> str | None:
        parent = self.named(name).parent
        return next((each.name for each in self.all if parent and id_of(each) == parent.span_id), None)

    def trace_of(self, name: str) -> int:
        return self.named(name).get_span_context().trace_id  # type: ignore[union-attr]

    def told(self) -> str:
        return "\n".join(each.to_json() for each in self.all)


def id_of(span: ReadableSpan) -> int:
    return span.get_span_context().span_id  # type: ignore[union-attr]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


async def last(world: World, name: str) -> Written:
    """The newest event of this name."""

    records = [each for number in range(PARTITIONS) for each in await world.log.read({number: 0}, limit=1000)]
    found = [(decode(record.value), record) for record in records]
    event, record = [(event, record) for event, record in found if event.data.name == name][-1]
    return Written(event, Appended(record.partition, record.position), record)


async def converse(world: World, client: Client, twilio: Twilio, model: Model) -> None:
    """A message comes in, is answered, and the answer is sent."""
    stranger = message(Body=CANARY, ProfileName=CANARY)
    assert (await client.post(replace(stranger, headers={**stranger.headers, "traceparent": STRANGER}))).status == 200
    await world.responder(model).respond((await last(world, "message.received")).delivered_to("responder"))
    await world.sender(twilio=twilio).send((await last(world, "reply.generated")).delivered_to("sender"))


async def test_one_trace_leads_from_the_webhook_to_the_call_of_twilio(world: World, exporter: InMemorySpanExporter) -> None:
    async with tracing.exported("prosa-test", exporter), serving(door_on(world.log)) as client:
        await converse(world, client, Twilio(), Model())
        events = {name: (await last(world, name)).event for name in ("message.received", "reply.generated", "message.sent")}
    spans = Spans(exporter)
    one_trace = {span.get_span_context().trace_id for span in spans.all}  # type: ignore[union-attr]
    assert len(one_trace) == 1
    assert spans.named(RECEIVED).parent is None
    assert {
        name: spans.parent_of(name)
        for name in ("process message.received", "quiet window", "chat", "append reply.generated", "process reply.generated",
                     "append send.started", "send twilio", "append message.sent")
    } == {
        "process message.received": RECEIVED,
        "quiet window": "process message.received",
        "chat": "process message.received",
        "append reply.generated": "process message.received",
        "process reply.generated": "append reply.generated",
        "append send.started": "process reply.generated",
        "send twilio": "process reply.generated",
        "append message.sent": "process reply.generated",
    }  # fmt: skip
    for name, span in (("message.received", RECEIVED), ("reply.generated", "append reply.generated")):
        assert span_in(events[name]) == id_of(spans.named(span))
    assert {span.kind for span in map(spans.named, (RECEIVED, "process reply.generated", "append message.sent", "chat"))} == {
        SpanKind.SERVER,
        SpanKind.CONSUMER,
        SpanKind.PRODUCER,
        SpanKind.CLIENT,
    }


def span_in(event: Event) -> int:
    assert event.traceparent is not None
    return int(event.traceparent.split("-")[2], 16)


async def test_a_status_callback_is_linked_to_the_call_that_it_tells_of(world: World, exporter: InMemorySpanExporter) -> None:
    twilio = Twilio()
    async with tracing.exported("prosa-test", exporter), serving(door_on(world.log)) as client:
        await converse(world, client, twilio, Model())
        query = urlsplit(twilio.callbacks[0]).query
        assert (await client.post(status(query, MessageStatus="delivered"))).status == 200
        assert (await client.post(status("trace=nonsense&attempt=1", MessageStatus="read"))).status == 200
    spans = Spans(exporter)
    delivered, read = (span for span in spans.all if span.name == CALLED_BACK)
    (link,) = delivered.links
    assert link.context.span_id == id_of(spans.named("send twilio"))
    assert delivered.parent is None
    assert delivered.attributes is not None
    assert spans.named("send twilio").attributes is not None
    assert delivered.attributes["prosa.attempt"] == spans.named("send twilio").attributes["prosa.attempt"]  # type: ignore[index]
    assert read.links == ()


async def test_a_traceparent_of_a_stranger_counts_for_nothing(world: World, exporter: InMemorySpanExporter) -> None:
    """Not even where somebody else's instrumentation has opened a span for it."""
    async with tracing.exported("prosa-test", exporter):
        with tracing.span("instrumentation", parent=STRANGER):
            async with serving(door_on(world.log)) as client:
                await converse(world, client, Twilio(), Model())
                forged = replace(message(Body="unsigned"), headers={"traceparent": STRANGER})
                assert (await client.post(forged)).status == 403
    spans = Spans(exporter)
    assert [span.name for span in spans.all].count(RECEIVED) == 1
    assert spans.named(RECEIVED).parent is None
    assert [span.name for span in spans.all if "1" * 32 in span.to_json().replace("0x", "")] == ["instrumentation"]


async def test_spans_tell_ids_codes_and_counts(world: World, exporter: InMemorySpanExporter) -> None:
    async with tracing.exported("prosa-test", exporter), serving(door_on(world.log)) as client:
        await converse(world, client, Twilio(next_sid="SM" + "7" * 32), Model())
        received = (await last(world, "message.received")).event
    spans = Spans(exporter)
    assert dict(spans.named(RECEIVED).attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/webhooks/twilio/messages",
        "http.response.status_code": 200,
        "messaging.message.id": SID,
        "prosa.thread_hash": thread_hash(THREAD),
        "prosa.event_type": "prosa.message.received.v1",
    }
    assert dict(spans.named("process message.received").attributes or {}) == {
        "messaging.system": "prosa",
        "messaging.destination.name": "prosa.log",
        "messaging.message.id": received.id,
        "messaging.message.conversation_id": received.correlation_id,
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "responder",
        "prosa.event_type": "prosa.message.received.v1",
        "prosa.thread_hash": thread_hash(THREAD),
    }
    chat = dict(spans.named("chat").attributes or {})
    assert (chat["gen_ai.response.model"], chat["gen_ai.usage.output_tokens"]) == ("by hand", 1)
    assert dict(spans.named("send twilio").attributes or {})["messaging.message.id"] == "SM" + "7" * 32
    appended = dict(spans.named("append message.sent").attributes or {})
    assert appended["messaging.destination.partition.id"] == str(world.journal().partition_of(THREAD))


async def test_no_span_tells_a_word_an_address_or_a_secret(world: World, exporter: InMemorySpanExporter) -> None:
    """Not even when something breaks whose error quotes the contact."""
    broken = Model(script=[ModelFailed("by hand", "http_503"), f"you said {CANARY}"])
    async with tracing.exported("prosa-test", exporter), serving(door_on(world.log)) as client:
        await converse(world, client, Twilio(script=[DENIED]), broken)
        with pytest.raises(RuntimeError):
            await world.responder(Model(script=[RuntimeError(CANARY)])).respond(
                (await world.write(THREAD)).delivered_to("responder")
            )
    told = Spans(exporter).told()
    assert "error.type" in told
    for secret in (CANARY, CONTACT, CONTACT.partition("+")[2], SENDER.partition("+")[2], "only the tests know", "thread="):
        assert secret not in told


async def test_an_error_is_told_by_its_class(world: World, exporter: InMemorySpanExporter) -> None:
    failing = Model(script=[ModelFailed("by hand", "http_503"), RuntimeError(CANARY)])
    async with tracing.exported("prosa-test", exporter):
        written = await world.write(THREAD)
        with pytest.raises(RuntimeError):
            await world.responder(failing).respond(written.delivered_to("responder"))
    spans = Spans(exporter)
    failed, broken = (span for span in spans.all if span.name == "chat")
    assert dict(failed.attributes or {}).items() >= {"error.type": "ModelFailed", "prosa.model_error": "http_503"}.items()
    for span in (broken, spans.named("process message.received")):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "RuntimeError")
        assert span.events == ()


async def test_a_webhook_that_could_not_be_stored_is_an_error(exporter: InMemorySpanExporter) -> None:
    away = FaultyLog()
    away.failure = down()
    async with tracing.exported("prosa-test", exporter), serving(door_on(away)) as client:
        assert (await client.post(message())).status == 503
    received = Spans(exporter).named(RECEIVED)
    assert (received.status.status_code, received.status.description) == (StatusCode.ERROR, "LogUnavailable")
    assert dict(received.attributes or {})["http.response.status_code"] == 503


async def test_without_a_collector_nothing_is_told_and_callback_addresses_stay_as_they_are(world: World) -> None:
    twilio = Twilio()
    async with serving(door_on(world.log)) as client:
        await converse(world, client, twilio, Model())
        assert (await last(world, "message.sent")).event.traceparent is None
    assert "trace=" not in twilio.callbacks[0]
