"""What a thread needs next: pure, so that every rule can be read and tested without a server."""

from dataclasses import dataclass
from typing import TypeAlias

from projections.message_status import normalised_code
from projections.sends import next_part
from projections.state import Attempt, PartStatus, Reply, ReplyStatus, ThreadState, Unanswered

FINAL_ROUND = 3
"""From the third round on an answer is final: a contact who goes on writing still gets one."""


def to_answer(state: ThreadState | None, event: str | None) -> tuple[Unanswered, ...]:
    """
    The messages that the AI is to answer now; none where it may not, or where `event` (if one is named) waits no more.

    This is asked before the model is: a repeated sid, or a message that another answer covered, costs no model call.
    """
    if state is None or not state.ai_may_answer:
        return ()
    if event is not None and all(message.event != event for message in state.unanswered):
        return ()
    return state.unanswered


@dataclass(frozen=True, slots=True)
class StartSend:
    """A part whose turn it is, that nobody holds."""

    reply: Reply
    part: int


@dataclass(frozen=True, slots=True)
class SettleSend:
    """An attempt without an outcome: find out what came of it before anything else."""

    reply: Reply
    part: int
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class ConfirmSend:
    """A callback told what nobody knew: this attempt reached Twilio as `sid`."""

    reply: Reply
    part: int
    attempt: Attempt
    sid: str


@dataclass(frozen=True, slots=True)
class JudgeFailure:
    """Twilio took the part, and reported later that it did not arrive."""

    reply: Reply
    part: int
    attempt: Attempt
    code: int | None


@dataclass(frozen=True, slots=True)
class RefuseClosedWindow:
    """The contact wrote more than 24 hours ago: WhatsApp would not deliver it, so nobody is called."""

    reply: Reply
    part: int


SendStep: TypeAlias = StartSend | SettleSend | ConfirmSend | JudgeFailure | RefuseClosedWindow


def next_send(state: ThreadState | None, log_time_ms: int) -> SendStep | None:
    """The one thing that sending on this thread needs next; replies in the order of the log, and parts in theirs."""
    if state is None:
        return None
    for reply in state.replies:
        step = _after_the_fact(reply) or _next_of(reply, state, log_time_ms)
        if step:
            return step
    return None


def _after_the_fact(reply: Reply) -> SendStep | None:
    for index, part in enumerate(reply.parts):
        if not part.attempts:
            continue
        last = part.attempts[-1]
        if part.status is PartStatus.SENT and last.failed_code is not None:
            return JudgeFailure(reply, index, last, normalised_code(last.failed_code))
        if part.status is PartStatus.UNCONFIRMED and last.proof_sid:
            return ConfirmSend(reply, index, last, last.proof_sid)
    return None


def _next_of(reply: Reply, state: ThreadState, log_time_ms: int) -> SendStep | None:
    index = next_part(reply) if reply.status is ReplyStatus.ACCEPTED else None
    if index is None:
        return None
    holder = reply.parts[index].holder
    if holder is None:
        is_closed = log_time_ms >= state.window_closes_at_ms
        return RefuseClosedWindow(reply, index) if is_closed else StartSend(reply, index)
    if holder.proof_sid:
        return ConfirmSend(reply, index, holder, holder.proof_sid)
    return SettleSend(reply, index, holder)
