"""
The sender: accepted replies become WhatsApp messages, each part once and in order.

Before each call an attempt is written to the log and granted by the fold; a call whose outcome is unknown is settled before any
other. What remains, and no code can close: a worker that is paused exactly between its last look at its lease and the
socket, for longer than the lease and the settling time of its successor.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import assert_never

from ulid import ULID

from handlers.breaker import Breaker
from handlers.call_twilio import THROTTLED_STEPS, CallTwilio, Grant
from handlers.decide import ConfirmSend, JudgeFailure, RefuseSend, SendStep, SettleSend, StartSend, next_send, stuck_send
from handlers.error_table import Outcome, classify_callback
from handlers.journal import Journal, on_behalf_of
from handlers.send_rate import SendRate
from handlers.serial import Serial
from handlers.settle import Settler
from handlers.spans import handled
from handlers.waiting import wait_for_step
from projections.changes import SENDER
from projections.dead_letters import attempts_of
from projections.message_status import FAILURES
from projections.reader import View
from projections.state import Reply
from streams.delivery import Delivery
from streams.errors import PermanentError
from streams.events import (
    ClockTicked,
    Event,
    EventDeadLettered,
    MessageSent,
    MessageStatusChanged,
    PersonReplied,
    RedriveRequested,
    Rejection,
    ReplyFailed,
    ReplyGenerated,
    SendDisproved,
    SendRejected,
    SendStarted,
)
from streams.retry import RetryPolicy
from telemetry import log

SENDER_EVENTS = frozenset(
    data.name
    for data in (
        ReplyGenerated,
        ReplyFailed,
        PersonReplied,
        RedriveRequested,
        SendDisproved,
        MessageSent,
        MessageStatusChanged,
        ClockTicked,
    )
)
"""What can make a part due. Everything else is passed over."""

OVERLOOKED_AFTER_MS = 60_000
"""A reply that has waited this long is looked for at every tick."""
OVERLOOKED_AT_ONCE = 100

NO_ANSWER = "send.unanswered"
"""Twilio broke off every call for a part, and never had taken it: the error of the dead letter."""


class SendStuck(PermanentError):
    """What was recorded changed nothing, so that the same step would come again for ever."""


class Sender:
    """Does what `next_send` says for a thread, until it says nothing."""

    def __init__(
        self, journal: Journal, call: CallTwilio, settler: Settler, breaker: Breaker, rate: SendRate, retry: RetryPolicy
    ) -> None:
        self._journal = journal
        self._call = call
        self._settler = settler
        self._breaker = breaker
        self._rate = rate
        self._retry = retry
        self._serial = Serial()

    async def send(self, delivery: Delivery) -> None:
        """Handle one event of the sender's group."""
        event = delivery.event
        match event.data:
            case ClockTicked():
                await self._send_overlooked(delivery)
            case MessageStatusChanged(status=status) if status not in FAILURES:
                return
            case RedriveRequested(group=group) if group != SENDER:
                return
            case MessageSent() if event.causation_id:
                return  # whoever sent it goes on by itself; a person's word has no cause
            case _:
                await self._work_on(event.subject, event, delivery.caught_up_to)

    async def overlooked(self, tick: Delivery) -> Sequence[Event]:
        """What the reply came with that is at the head, of each thread that a tick finds."""
        events: list[Event | None] = []
        for thread in await self._missed(tick):
            view = await self._journal.look(thread)
            if stuck := stuck_send(view.state, view.log_time_ms):
                events.append(await self._journal.event(thread, stuck))
        return [event for event in events if event]

    async def _missed(self, tick: Delivery) -> Sequence[str]:
        """What a crash at the wrong moment or a person's decision left without an event of its own."""
        view = await self._journal.look(tick.event.subject, tick.caught_up_to)
        before = view.log_time_ms - OVERLOOKED_AFTER_MS
        return await self._journal.awaiting_send(tick.partition, before, limit=OVERLOOKED_AT_ONCE)

    async def _send_overlooked(self, delivery: Delivery) -> None:
        threads = await self._missed(delivery)
        await self._serial.on_each_idle(threads, lambda thread: self._work_on(thread, delivery.event, delivery.caught_up_to))

    @handled(SENDER)
    async def _work_on(self, thread: str, cause: Event, at_least: int) -> None:
        async with self._serial.alone(thread):
            view = await self._journal.look(thread, at_least)
            cause = on_behalf_of(view, cause)
            step = next_send(view.state, view.log_time_ms)
            while step:
                view = await self._take(thread, cause, step, view)
                following = next_send(view.state, view.log_time_ms)
                if following == step:
                    raise SendStuck(f"reply {step.reply.id}, part {step.part}")
                step = following

    async def _take(self, thread: str, cause: Event, step: SendStep, view: View) -> View:
        match step:
            case StartSend(reply) if self._is_used_up(view, reply):
                return await self._give_up(thread, cause, reply, view)
            case StartSend():
                return await self._start(thread, cause, step)
            case SettleSend():
                return await self._settler.settle(thread, cause, step)
            case ConfirmSend(reply, part, attempt, sid):
                sent = MessageSent(reply=reply.id, part=part, attempt=attempt.id, sid=sid)
                return await self._journal.record(sent, cause=cause, thread=thread)
            case JudgeFailure():
                return await self._judge(thread, cause, step)
            case RefuseSend(reply, part, reason, code):
                refused = SendRejected(reply=reply.id, part=part, code=code, reason=reason)
                return await self._journal.record(refused, cause=cause, thread=thread)
            case _:
                assert_never(step)

    def _is_used_up(self, view: View, reply: Reply) -> bool:
        """Whether too many calls in a row came to nothing that anybody could tell, while those for others were answered."""
        most = self._retry.max_attempts
        return _calls_in_vain(view, reply) >= most and self._breaker.is_poison(reply.event, most)

    async def _give_up(self, thread: str, cause: Event, reply: Reply, view: View) -> View:
        attempts = _calls_in_vain(view, reply)
        letter = EventDeadLettered(
            event=reply.event, group=SENDER, attempts=attempts, error=NO_ANSWER, fingerprint=f"{SENDER}:{NO_ANSWER}"
        )
        log.error("event.dead_lettered", error=NO_ANSWER, attempts=attempts, dead_letter=reply.event)
        self._breaker.forget(reply.event)
        return await self._journal.record(letter, cause=cause, thread=thread)

    async def _start(self, thread: str, cause: Event, step: StartSend) -> View:
        has_paused = await self._breaker.admit()
        if await self._rate.admit(thread) or has_paused:
            view = await self._journal.look(thread)
            if next_send(view.state, view.log_time_ms) != step:
                return view
        self._call.require_staying(thread)
        begun_at = asyncio.get_running_loop().time()
        started = SendStarted(reply=step.reply.id, part=step.part, attempt=str(ULID()))
        view = await self._journal.record(started, cause=cause, thread=thread)
        reply = view.state.reply(step.reply.id) if view.state else None
        holder = reply.parts[step.part].holder if reply else None
        if reply is None or holder is None or holder.id != started.attempt:
            return view
        return await self._call.send(Grant(thread, cause, reply, step.part, started.attempt, begun_at))

    async def _judge(self, thread: str, cause: Event, step: JudgeFailure) -> View:
        """A failure that was reported later: again after a pause where that can help, else given up."""
        verdict = classify_callback(step.code)
        identity = {"reply": step.reply.id, "part": step.part, "attempt": step.attempt.id, "code": step.code}
        is_used_up = step.failures >= self._retry.max_attempts
        if verdict.outcome is Outcome.REJECTED or step.is_too_late or is_used_up:
            reason = verdict.rejection or (Rejection.SUPERSEDED if step.is_too_late else _USED_UP[verdict.outcome])
            return await self._journal.record(SendRejected(**identity, reason=reason), cause=cause, thread=thread)
        tries = step.failures + (THROTTLED_STEPS if verdict.outcome is Outcome.THROTTLED else 0)
        pause = self._retry.pause_seconds(tries, random.random())  # noqa: S311 - jitter
        view = await wait_for_step(self._journal, thread, step, pause)
        if next_send(view.state, view.log_time_ms) != step:
            return view
        return await self._journal.record(SendDisproved(**identity), cause=cause, thread=thread)


def _calls_in_vain(view: View, reply: Reply) -> int:
    return attempts_of(view.state, reply.event, SENDER).failed if view.state else 0


_USED_UP = {Outcome.THROTTLED: Rejection.THROTTLED, Outcome.RETRY: Rejection.UNKNOWN}
