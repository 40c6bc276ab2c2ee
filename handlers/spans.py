"""What the handlers tell of themselves in traces: one span for each piece of work, append, model call and call to Twilio."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import tracing
from handlers.model import Answer, ModelFailed, ModelRefused, Question, ReplyGenerator
from handlers.twilio_answers import Accepted, NeverConnected, Refused, SendResult, TooManyRequests, Unknown
from projections.state import Reply
from streams.events import AnyEventData, Event
from telemetry import thread_hash

_Self = TypeVar("_Self")
_Result = TypeVar("_Result")
_P = ParamSpec("_P")
_Grant = TypeVar("_Grant", bound="Granted")
_Work = Callable[Concatenate[_Self, str, Event, _P], Awaitable[_Result]]


class Granted(Protocol):
    """What is known of a granted attempt."""

    @property
    def thread(self) -> str: ...
    @property
    def reply(self) -> Reply: ...
    @property
    def part(self) -> int: ...
    @property
    def attempt(self) -> str: ...


def handled(group: str) -> Callable[[_Work[_Self, _P, _Result]], _Work[_Self, _P, _Result]]:
    """Decorate a method `(thread, cause, …)` that does a group's work: it continues the trace that its cause came with."""

    def decorate(work: _Work[_Self, _P, _Result]) -> _Work[_Self, _P, _Result]:
        @wraps(work)
        async def within_span(self: _Self, thread: str, cause: Event, /, *args: _P.args, **kwargs: _P.kwargs) -> _Result:
            if not tracing.is_on():
                return await work(self, thread, cause, *args, **kwargs)
            about = _of_message(cause) | {
                "messaging.operation.type": "process",
                "messaging.consumer.group.name": group,
                "prosa.thread_hash": thread_hash(thread),
            }
            with tracing.span(f"process {cause.data.name}", "consumer", about, parent=cause.traceparent or ""):
                return await work(self, thread, cause, *args, **kwargs)

        return within_span

    return decorate


def recorded(
    record: Callable[Concatenate[_Self, AnyEventData, _P], Awaitable[_Result]],
) -> Callable[Concatenate[_Self, AnyEventData, _P], Awaitable[_Result]]:
    """Decorate a method that appends an outcome and waits until it is folded."""

    @wraps(record)
    async def within_span(self: _Self, data: AnyEventData, /, *args: _P.args, **kwargs: _P.kwargs) -> _Result:
        about = {"messaging.system": "prosa", "messaging.operation.type": "send", "messaging.destination.name": "prosa.log"}
        with tracing.span(f"append {data.name}", "producer", about):
            return await record(self, data, *args, **kwargs)

    return within_span


def appended_as(event: Event, partition: int) -> None:
    """Inside `recorded`: which event it became, and where."""
    if tracing.is_on():
        tracing.note(_of_message(event) | {"messaging.destination.partition.id": str(partition)})


async def asked(model: ReplyGenerator, question: Question) -> Answer:
    """Ask a model; the span tells its name, tokens and errors, and not a word."""
    if not tracing.is_on():
        return await model.generate(question)
    about = {"gen_ai.operation.name": "chat", "prosa.thread_hash": thread_hash(question.thread)}
    with tracing.span("chat", "client", about) as span:
        try:
            answer = await model.generate(question)
        except (ModelFailed, ModelRefused) as error:
            span.note({"gen_ai.request.model": error.model, "prosa.model_error": error.code})
            raise
        span.note(
            {
                "gen_ai.response.model": answer.model,
                "gen_ai.usage.input_tokens": answer.input_tokens,
                "gen_ai.usage.output_tokens": answer.output_tokens,
            }
        )
        return answer


def called(
    call: Callable[[_Self, _Grant], Awaitable[SendResult]],
) -> Callable[[_Self, _Grant], Awaitable[SendResult]]:
    """Decorate the method that calls Twilio for a granted attempt."""

    @wraps(call)
    async def within_span(self: _Self, grant: _Grant, /) -> SendResult:
        if not tracing.is_on():
            return await call(self, grant)
        about: tracing.Attributes = {
            "messaging.system": "twilio",
            "messaging.operation.type": "send",
            "prosa.thread_hash": thread_hash(grant.thread),
            "prosa.reply": grant.reply.id,
            "prosa.part": grant.part,
            "prosa.attempt": grant.attempt,
        }
        with tracing.span("send twilio", "client", about) as span:
            result = await call(self, grant)
            _tell(span, result)
            return result

    return within_span


def _tell(span: tracing.Span, result: SendResult) -> None:
    match result:
        case Accepted(sid):
            span.note({"messaging.message.id": sid})
        case Refused(status, code):
            span.note({"http.response.status_code": status, "prosa.twilio_code": code})
        case TooManyRequests(code):
            span.note({"http.response.status_code": 429, "prosa.twilio_code": code})
        case NeverConnected(reason) | Unknown(reason):
            span.note({"prosa.reason": reason})
    if not isinstance(result, Accepted):
        span.fail(type(result).__name__)


def _of_message(event: Event) -> dict[str, str]:
    return {
        "messaging.system": "prosa",
        "messaging.destination.name": "prosa.log",
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": event.correlation_id,
        "prosa.event_type": event.type,
    }
