"""What a thread needs next: pure, so that every rule can be read and tested without a server."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from handlers.parts import normalise
from projections.message_status import normalised_code
from projections.parts import proven_attempt
from projections.sends import next_part
from projections.state import (
    Attempt,
    ClosedBy,
    Conversation,
    Outcome,
    Part,
    PartStatus,
    Reply,
    ReplyStatus,
    Status,
    ThreadState,
    Unanswered,
)
from streams.events import Rejection

FINAL_ROUND = 3
"""From the third round on an answer is final: a contact who goes on writing still gets one."""

WINDOW_CLOSED_CODE = 63016
"""What Twilio would report."""


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


def is_too_late_to_answer(state: ThreadState, log_time_ms: int) -> bool:
    """Whether WhatsApp would deliver no answer: the contact wrote more than 24 hours ago."""
    return log_time_ms >= state.window_closes_at_ms


def silence_of(state: ThreadState | None, event: str | None) -> str | None:
    """Why the AI says nothing to a message that nobody answered; None where it waits, or was answered."""
    if state is None or state.conversation is None or event is None or _is_covered(state, event):
        return None
    match state.conversation:
        case Conversation(status=Status.HANDOFF):
            return "a person has the conversation"
        case Conversation(status=Status.CLOSED, closed_by=ClosedBy.CONTACT | ClosedBy.PERSON as closed_by):
            return "the contact closed the conversation" if closed_by is ClosedBy.CONTACT else "a person closed the conversation"
    return None


def _is_covered(state: ThreadState, event: str) -> bool:
    return any(covered.event == event for reply in state.replies for covered in reply.covers)


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
    """
    Twilio took the part, and reported later that it did not arrive.

    So it did with `failures` attempts by now, or since a person redrove it. `is_too_late`: something that comes after it went out
    already, so that sending it again would turn the order round.
    """

    reply: Reply
    part: int
    attempt: Attempt
    code: int | None
    failures: int
    is_too_late: bool


@dataclass(frozen=True, slots=True)
class RefuseSend:
    """
    A part that nobody is called for.

    The contact wrote more than 24 hours ago, and WhatsApp would not deliver it; or a newer reply went out before it.
    """

    reply: Reply
    part: int
    reason: Rejection
    code: int | None


SendStep: TypeAlias = StartSend | SettleSend | ConfirmSend | JudgeFailure | RefuseSend


def next_send(state: ThreadState | None, log_time_ms: int) -> SendStep | None:
    """
    The one thing that sending on this thread needs next.

    First what callbacks told, then what is in doubt, whichever reply it belongs to: only who knows what went out can tell
    what may go out next. Replies go in the order of the log, and parts in theirs.
    """
    if state is None:
        return None
    return (
        _first(_told(reply, state) for reply in state.replies if not reply.is_left_alone)
        or _first(_in_doubt(reply) for reply in state.replies)
        or _first(_due(reply, state, log_time_ms) for reply in state.replies)
    )


def rivals_of(state: ThreadState | None, step: SettleSend) -> int:
    """How many other parts of the thread with the same words are left to a person: a listed message may be theirs."""
    place, words = (step.reply.id, step.part), normalise(step.reply.parts[step.part].text)
    parts = [((reply.id, index), part) for reply in (state.replies if state else ()) for index, part in enumerate(reply.parts)]
    in_doubt = [part for other, part in parts if other != place and part.status is PartStatus.UNCONFIRMED]
    return sum(normalise(part.text) == words for part in in_doubt)


def stuck_send(state: ThreadState | None, log_time_ms: int) -> str | None:
    """The event of the reply that holds its thread up, if one does."""
    step = next_send(state, log_time_ms)
    return step.reply.event if step else None


def _first(steps: Iterable[SendStep | None]) -> SendStep | None:
    return next((step for step in steps if step), None)


def _told(reply: Reply, state: ThreadState) -> SendStep | None:
    for index, part in enumerate(reply.parts):
        if not part.attempts:
            continue
        last = part.attempts[-1]
        if part.status is not PartStatus.SENT:
            if (proven := proven_attempt(part)) and proven.proof_sid:
                return ConfirmSend(reply, index, proven, proven.proof_sid)
        elif last.failed_code is not None and not _has_arrived(part):
            is_too_late = state.last_sent_reply > reply.number or _was_overtaken(reply, index)
            return JudgeFailure(reply, index, last, normalised_code(last.failed_code), _failures(part), is_too_late)
    return None


def _failures(part: Part) -> int:
    """What was given up and redriven begins anew."""
    failures = 0
    for attempt in part.attempts:
        if attempt.outcome is Outcome.REJECTED:
            failures = 0
        elif attempt.failed_code is not None:
            failures += 1
    return failures


def _has_arrived(part: Part) -> bool:
    return any(attempt.proof_sid and attempt.failed_code is None for attempt in part.attempts)


def _was_overtaken(reply: Reply, index: int) -> bool:
    return any(part.status is PartStatus.SENT for part in reply.parts[index + 1 :])


def _in_doubt(reply: Reply) -> SendStep | None:
    index = next_part(reply) if reply.status is ReplyStatus.ACCEPTED else None
    holder = reply.parts[index].holder if index is not None else None
    return SettleSend(reply, index, holder) if index is not None and holder else None


def _due(reply: Reply, state: ThreadState, log_time_ms: int) -> SendStep | None:
    index = next_part(reply) if reply.status is ReplyStatus.ACCEPTED else None
    if index is None:
        return None
    if state.last_sent_reply > reply.number:
        return RefuseSend(reply, index, Rejection.SUPERSEDED, None)
    if is_too_late_to_answer(state, log_time_ms):
        return RefuseSend(reply, index, Rejection.WINDOW_CLOSED, WINDOW_CLOSED_CODE)
    return StartSend(reply, index)
