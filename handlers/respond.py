"""The responder: unanswered inbound messages become `reply.generated`, once each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ulid import ULID

from handlers.breaker import Breaker
from handlers.decide import FINAL_ROUND, to_answer
from handlers.journal import Journal
from handlers.model import Answer, Question, ReplyGenerator, Turn, TurnFailed
from handlers.parts import split
from handlers.serial import Serial
from handlers.turn import TurnLimits, answer_with_retries
from projections.changes import RESPONDER
from projections.reader import Line, View
from projections.state import Unanswered
from streams.delivery import Delivery
from streams.errors import TransientError
from streams.events import ClockTicked, Event, MessageReceived, RedriveRequested, ReplyFailed, ReplyGenerated
from telemetry import log, thread_hash

RESPONDER_EVENTS = frozenset(data.name for data in (MessageReceived, RedriveRequested, ClockTicked))
"""What can make an answer due. Everything else is passed over."""

HISTORY_MESSAGES = 40
"""How many messages of a conversation the model is shown."""

LONGEST_QUIET_WINDOWS = 10
"""A contact who never pauses is answered after so many quiet windows."""

OVERLOOKED_AT_ONCE = 100
TYPING_REFRESH_SECONDS = 20
"""WhatsApp shows typing dots for 25 seconds."""


class GroupPaused(TransientError):
    """The breaker is open: nothing is given up while everything fails."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the responder goes about an answer."""

    quiet_seconds: float
    limits: TurnLimits
    failure_sentence: str
    overlooked_after_ms: int


class Responder:
    """Answers a thread's unanswered messages until none is left that the AI may answer."""

    def __init__(
        self,
        journal: Journal,
        models: Sequence[ReplyGenerator],
        breaker: Breaker,
        manner: Manner,
        *,
        show_typing: Callable[[str], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._journal = journal
        self._models = models
        self._breaker = breaker
        self._manner = manner
        self._show_typing = show_typing
        self._serial = Serial()

    async def respond(self, delivery: Delivery) -> None:
        """Handle one event of the responder's group."""
        event = delivery.event
        match event.data:
            case ClockTicked():
                await self._answer_overlooked(delivery)
            case RedriveRequested(group=group) if group != RESPONDER:
                return
            case RedriveRequested(event=message):
                await self._answer(event.subject, event, message, delivery.caught_up_to)
            case _:
                await self._answer(event.subject, event, event.id, delivery.caught_up_to)

    async def _answer_overlooked(self, delivery: Delivery) -> None:
        """Whatever was missed is found: after a handoff that ran out, a withdrawal, a redrive."""
        partition = delivery.record.partition
        view = await self._journal.look(delivery.event.subject, delivery.caught_up_to)
        before = view.log_time_ms - self._manner.overlooked_after_ms
        threads = await self._journal.awaiting_answer(partition, before, limit=OVERLOOKED_AT_ONCE)
        idle = self._serial.not_in_work(threads)
        await asyncio.gather(*(self._answer(thread, delivery.event, None, delivery.caught_up_to) for thread in idle))

    async def _answer(self, thread: str, cause: Event, message: str | None, at_least: int) -> None:
        """Answer until `message` waits no more; without one, until nothing does."""
        async with self._serial.alone(thread):
            view = await self._journal.look(thread, at_least)
            for rounds in range(1, FINAL_ROUND + 2):
                if not to_answer(view.state, message):
                    return
                view = await self._wait_for_quiet(thread, view)
                waiting = to_answer(view.state, message)
                if not waiting:
                    return
                view = await self._take_turn(thread, cause, view, waiting, is_final=rounds >= FINAL_ROUND)

    async def _wait_for_quiet(self, thread: str, view: View) -> View:
        """People send three messages in a row: let them finish, within reason."""
        for _ in range(LONGEST_QUIET_WINDOWS):
            newest = to_answer(view.state, None)[-1:]
            await asyncio.sleep(self._manner.quiet_seconds)
            view = await self._journal.look(thread)
            if to_answer(view.state, None)[-1:] == newest:
                break
        return view

    async def _take_turn(self, thread: str, cause: Event, view: View, waiting: Sequence[Unanswered], *, is_final: bool) -> View:
        await self._breaker.admit()
        question, newest_sid = await self._question(thread, view, waiting)
        first, last = waiting[0].event, waiting[-1].event
        try:
            async with self._typing(newest_sid):
                answer = await answer_with_retries(self._models, question, limits=self._manner.limits)
        except TurnFailed as failed:
            return await self._give_up(thread, cause, first, last, failed)
        self._breaker.succeeded()
        return await self._journal.record(_reply(answer, first, last, is_final), cause=cause, thread=thread)

    async def _give_up(self, thread: str, cause: Event, first: str, last: str, failed: TurnFailed) -> View:
        self._breaker.failed(failed.error)
        if self._breaker.is_open:
            raise GroupPaused(RESPONDER)
        log.warning("reply.failed", thread=thread_hash(thread), error=failed.error, attempts=failed.attempts)
        outcome = ReplyFailed(
            reply=str(ULID()),
            first_event=first,
            last_event=last,
            error=failed.error,
            attempts=failed.attempts,
            fingerprint=failed.fingerprint,
            sentence=self._manner.failure_sentence or None,
        )
        return await self._journal.record(outcome, cause=cause, thread=thread)

    async def _question(self, thread: str, view: View, waiting: Sequence[Unanswered]) -> tuple[Question, str | None]:
        """The conversation so far, what waits for an answer last; and the sid of the newest message."""
        conversation = view.state.conversation.id if view.state and view.state.conversation else ""
        events = {message.event for message in waiting}
        lines = await self._journal.history(conversation, events, limit=HISTORY_MESSAGES)
        asked = [line for line in lines if line.event in events]
        before = tuple(_turn(line) for line in lines if line.event not in events)
        return Question(thread, before, tuple(line.body for line in asked)), asked[-1].sid if asked else None

    @asynccontextmanager
    async def _typing(self, sid: str | None) -> AsyncIterator[None]:
        """Typing dots while the model works, where the settings want them."""
        if self._show_typing is None or sid is None:
            yield
            return
        task = asyncio.create_task(_show_again(self._show_typing, sid))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _show_again(show: Callable[[str], Coroutine[Any, Any, None]], sid: str) -> None:
    while True:
        await show(sid)
        await asyncio.sleep(TYPING_REFRESH_SECONDS)


def _turn(line: Line) -> Turn:
    if line.direction == "inbound":
        return Turn("contact", line.body)
    return Turn("person" if line.is_by_person else "assistant", line.body)


def _reply(answer: Answer, first: str, last: str, is_final: bool) -> ReplyGenerated:
    return ReplyGenerated(
        reply=str(ULID()),
        first_event=first,
        last_event=last,
        parts=split(answer.text),
        final=is_final,
        closes=answer.closes,
        hands_off=answer.hands_off,
        model=answer.model,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
    )
