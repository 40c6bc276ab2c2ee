"""The responder: unanswered inbound messages become `reply.generated`, once each."""

from collections.abc import Sequence
from dataclasses import dataclass

from ulid import ULID

from handlers.alone import waiting
from handlers.breaker import Breaker
from handlers.decide import FINAL_ROUND, is_too_late_to_answer, silence_of, to_answer
from handlers.journal import Journal, on_behalf_of
from handlers.model import Answer, Blame, ReplyGenerator, TurnFailed
from handlers.parts import split
from handlers.question import newest_sid, question_of
from handlers.serial import Serial
from handlers.spans import handled
from handlers.turn import TurnLimits, answer_with_retries
from handlers.typing_indicator import ShowTyping, typing_shown
from projections.changes import RESPONDER
from projections.reader import View
from projections.state import ThreadState, Unanswered
from streams import leaving
from streams.crash_points import reached
from streams.delivery import Delivery
from streams.errors import TransientError
from streams.events import ClockTicked, Event, MessageReceived, RedriveRequested, Rejection, ReplyFailed, ReplyGenerated
from telemetry import log
from tracing import traced

RESPONDER_EVENTS = frozenset(data.name for data in (MessageReceived, RedriveRequested, ClockTicked))
"""What can make an answer due. Everything else is passed over."""

HISTORY_MESSAGES = 40
"""How many messages of a conversation the model is shown."""

LONGEST_QUIET_WINDOWS = 10
"""A contact who never pauses is answered after so many quiet windows."""

OVERLOOKED_AT_ONCE = 100

WITNESSED_TURNS = 2
"""So many whole turns in vain, while others are answered, are the message's own fault."""


class GroupPaused(TransientError):
    """Nobody is answered, as far as one can tell: nothing is given up while everything fails."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the responder goes about an answer; without a failure sentence the contact hears nothing of a failure."""

    quiet_seconds: float
    limits: TurnLimits
    failure_sentence: str | None
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
        show_typing: ShowTyping | None = None,
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

    async def overlooked(self, tick: Delivery) -> Sequence[Event]:
        """The oldest message that waits, of each thread that a tick finds."""
        events: list[Event | None] = []
        for thread in await self._missed(tick):
            for oldest in to_answer((await self._journal.look(thread)).state, None)[:1]:
                events.append(await self._journal.event(thread, oldest.event))
        return [event for event in events if event]

    async def _missed(self, tick: Delivery) -> Sequence[str]:
        """Whatever was missed is found: after a handoff that ran out, a withdrawal, a redrive."""
        view = await self._journal.look(tick.event.subject, tick.caught_up_to)
        before = view.log_time_ms - self._manner.overlooked_after_ms
        return await self._journal.awaiting_answer(tick.partition, before, limit=OVERLOOKED_AT_ONCE)

    async def _answer_overlooked(self, delivery: Delivery) -> None:
        threads = await self._missed(delivery)
        await self._serial.on_each_idle(threads, lambda thread: self._answer(thread, delivery.event, None, delivery.caught_up_to))

    @handled(RESPONDER)
    async def _answer(self, thread: str, cause: Event, message: str | None, at_least: int) -> None:
        """Answer until `message` waits no more; without one, until nothing does."""
        async with self._serial.alone(thread):
            view = await self._journal.look(thread, at_least)
            cause = on_behalf_of(view, cause)
            for rounds in range(1, FINAL_ROUND + 2):
                if to_answer(view.state, message):
                    view = await self._wait_for_quiet(thread, view)
                if to_answer(view.state, message) and await self._breaker.admit():
                    view = await self._journal.look(thread)
                state, unanswered = view.state, to_answer(view.state, message)
                if not unanswered or state is None:
                    _tell_silence(state, message)
                    return
                if is_too_late_to_answer(state, view.log_time_ms):
                    view = await self._too_late(cause, thread, unanswered)
                else:
                    view = await self._take_turn(cause, state, unanswered, is_final=rounds >= FINAL_ROUND)

    @traced("quiet window")
    async def _wait_for_quiet(self, thread: str, view: View) -> View:
        """People send three messages in a row: let them finish, within reason."""
        for _ in range(LONGEST_QUIET_WINDOWS):
            newest = to_answer(view.state, None)[-1:]
            async with waiting():
                await leaving.pause(self._manner.quiet_seconds)
            view = await self._journal.look(thread)
            if to_answer(view.state, None)[-1:] == newest:
                break
        return view

    async def _too_late(self, cause: Event, thread: str, unanswered: Sequence[Unanswered]) -> View:
        """Nothing that a model says could be sent; sent round again once the contact has written, the messages are answered."""
        error = Rejection.WINDOW_CLOSED.value
        log.warning("reply.failed", error=error, attempts=0)
        failed = ReplyFailed(
            reply=str(ULID()),
            first_event=unanswered[0].event,
            last_event=unanswered[-1].event,
            error=error,
            attempts=0,
            fingerprint=f"{RESPONDER}:{error}",
            sentence=None,
            gives_up=True,
        )
        return await self._journal.record(failed, cause=cause, thread=thread)

    async def _take_turn(self, cause: Event, state: ThreadState, unanswered: Sequence[Unanswered], *, is_final: bool) -> View:
        conversation = state.conversation.id if state.conversation else ""
        lines = await self._journal.history(conversation, [message.event for message in unanswered], limit=HISTORY_MESSAGES)
        question = question_of(state, lines, unanswered)
        leaving.require_staying()
        reached("responder.asking")
        begun, was_paused = self._breaker.begin(), self._breaker.is_open
        try:
            async with typing_shown(self._show_typing, newest_sid(lines, unanswered)):
                answer = await answer_with_retries(self._models, question, limits=self._manner.limits)
            reached("responder.asked")
        except TurnFailed as failed:
            self._breaker.failed(failed.error, unanswered[0].event, state.thread, begun)
            is_their_fault = not was_paused and self._is_their_fault(unanswered, failed)
            return await self._failed(cause, state.thread, unanswered, failed, gives_up=is_their_fault)
        self._breaker.succeeded(unanswered[0].event)
        return await self._journal.record(_reply(answer, unanswered, is_final), cause=cause, thread=state.thread)

    async def _failed(
        self, cause: Event, thread: str, unanswered: Sequence[Unanswered], failed: TurnFailed, *, gives_up: bool
    ) -> View:
        """Give the messages up, or tell the contact and raise `GroupPaused`, so that they are tried again after a pause."""
        log.warning("reply.failed" if gives_up else "reply.postponed", error=failed.error, attempts=failed.attempts)
        failure = self._failure(unanswered, failed, gives_up=gives_up)
        if gives_up:
            self._breaker.forget(unanswered[0].event)
            return await self._journal.record(failure, cause=cause, thread=thread)
        if failure.sentence and self._breaker.is_first(unanswered[0].event):
            await self._journal.record(failure, cause=cause, thread=thread)
        raise GroupPaused(RESPONDER)

    def _is_their_fault(self, unanswered: Sequence[Unanswered], failed: TurnFailed) -> bool:
        """The oldest of them stands for all."""
        match failed.blame:
            case Blame.MESSAGE:
                return not self._breaker.is_open
            case Blame.PROVIDER:
                return self._breaker.is_poison(unanswered[0].event, WITNESSED_TURNS)
            case Blame.ACCOUNT:
                return self._breaker.has_lasted_too_long(unanswered[0].event)

    def _failure(self, unanswered: Sequence[Unanswered], failed: TurnFailed, *, gives_up: bool) -> ReplyFailed:
        return ReplyFailed(
            reply=str(ULID()),
            first_event=unanswered[0].event,
            last_event=unanswered[-1].event,
            error=failed.error,
            attempts=failed.attempts,
            fingerprint=failed.fingerprint,
            sentence=self._manner.failure_sentence,
            gives_up=gives_up,
        )


def _tell_silence(state: ThreadState | None, message: str | None) -> None:
    if reason := silence_of(state, message):
        log.info("message.not_answered", reason=reason)


def _reply(answer: Answer, unanswered: Sequence[Unanswered], is_final: bool) -> ReplyGenerated:
    return ReplyGenerated(
        reply=str(ULID()),
        first_event=unanswered[0].event,
        last_event=unanswered[-1].event,
        parts=split(answer.text),
        final=is_final,
        closes=answer.closes,
        hands_off=answer.hands_off,
        model=answer.model,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
    )
