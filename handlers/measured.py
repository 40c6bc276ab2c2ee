"""What the handlers measure where it happens: tries of a handler, requests to a model, calls to Twilio, outcomes of sends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar, cast

from prometheus_client import Histogram

import metrics
from handlers.error_table import KNOWN_CODES
from handlers.model import Answer, ModelFailed, ModelRefused, Question, ReplyGenerator
from handlers.parts import normalise
from handlers.twilio_answers import Call
from projections.reader import View
from projections.state import Reply
from streams.delivery import Delivery
from streams.errors import FatalError, TransientError
from streams.events import AnyEventData, AttemptFailed, MessageSent, SendCancelled, SendDisproved, SendRejected, SendUnconfirmed

Handle = Callable[[Delivery], Awaitable[None]]
_Call = TypeVar("_Call", bound=Callable[..., Awaitable[Call]])


@dataclass(slots=True)
class _Try:
    result: str


@contextmanager
def _timed(seconds: metrics.Metric[Histogram], *labels: str, until_told: str) -> Iterator[_Try]:
    """Observe how long it took under the result that it was told, the last label."""
    one, began = _Try(until_told), perf_counter()
    try:
        yield one
    finally:
        seconds.of(*labels, one.result).observe(perf_counter() - began)


def handling(group: str, handle: Handle) -> Handle:
    """The group's handler, with each of its tries measured."""

    async def measuring(delivery: Delivery) -> None:
        with _timed(metrics.HANDLER_SECONDS, group, until_told="failed") as one:
            try:
                await handle(delivery)
                one.result = "done"
            except TransientError:
                one.result = "unavailable"
                raise
            except FatalError:
                one.result = "fatal"
                raise
            except asyncio.CancelledError:
                one.result = "cancelled"
                raise

    return measuring


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A model under the name that the settings give it."""

    name: str
    model: ReplyGenerator

    async def generate(self, question: Question) -> Answer:
        with _timed(metrics.MODEL_SECONDS, self.name, until_told="failed") as one:
            try:
                answer = await self.model.generate(question)
                one.result = "answered"
            except ModelFailed as error:
                self._failed(error.code)
                raise
            except ModelRefused as error:
                one.result = "refused"
                self._failed(error.code)
                raise
            except asyncio.CancelledError:
                one.result = "cancelled"
                raise
        metrics.MODEL_TOKENS.of(self.name, "input").inc(answer.input_tokens)
        metrics.MODEL_TOKENS.of(self.name, "output").inc(answer.output_tokens)
        if not normalise(answer.text):
            self._failed("empty")
        return answer

    def _failed(self, code: str) -> None:
        metrics.MODEL_ERRORS.of(self.name, code).inc()


def calling(call: _Call) -> _Call:
    """Decorate the method that makes one HTTP call to Twilio; its first argument is the HTTP method."""

    @wraps(call)
    async def measuring(client: Any, method: str, *args: Any, **kwargs: Any) -> Call:
        with _timed(metrics.TWILIO_SECONDS, method, until_told="no_answer") as one:
            answer = await call(client, method, *args, **kwargs)
            if answer.status is not None:
                one.result = f"{answer.status // 100}xx"
        return answer

    return cast("_Call", measuring)


def count_outcome(data: AnyEventData) -> None:
    """Count what came of a send or of an attempt, where that is what is recorded."""
    match data:
        case AttemptFailed(group=group):
            metrics.FAILED_ATTEMPTS.of(group).inc()
        case MessageSent():
            _count("sent")
        case SendRejected(code=code, reason=reason):
            _count("rejected", code, reason)
        case SendDisproved(code=code):
            _count("disproved", code)
        case SendUnconfirmed():
            _count("unconfirmed")
        case SendCancelled():
            _count("cancelled")


def _count(outcome: str, code: int | None = None, reason: str = "none") -> None:
    told = "none" if code is None else str(code) if code in KNOWN_CODES else metrics.OTHER
    metrics.SEND_OUTCOMES.of(outcome, told, reason).inc()


def observe_waiting(reply: Reply, part: int, view: View) -> None:
    """
    How long the contact waited, once Twilio has taken the first part. `view` shows it sent.

    Only a call that was answered is measured here, so that neither a replay of the log nor a send that was settled later, whose
    moment nobody knows, counts. What waited while everything was down did wait, and counts.
    """
    if part == 0 and reply.covers:
        waited_ms = view.log_time_ms - min(message.at_ms for message in reply.covers)
        metrics.INBOUND_TO_SENT_SECONDS.of(reply.kind).observe(max(0, waited_ms) / 1000)
