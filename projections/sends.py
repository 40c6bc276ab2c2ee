"""Who may call Twilio for which part, and what came of it."""

from dataclasses import replace

from projections.changes import SENDER, count_anew, give_up, with_dead_letter, with_reply
from projections.parts import attempt_of, part_of, proven_attempt, with_attempt, with_outcome, with_part
from projections.policy import Policy
from projections.proof import failed_code, is_accounted_for, note_sent_message
from projections.replies import cancel_open_parts, close, news_again, settled, take_back, take_effect, touch, was_said_after_all
from projections.state import (
    Attempt,
    ClosedBy,
    DeadLetter,
    Message,
    Outcome,
    Part,
    PartitionState,
    PartStatus,
    Reply,
    ReplyStatus,
    Status,
    ThreadState,
)
from streams.events import (
    Event,
    MessageSent,
    Rejection,
    SendCancelled,
    SendDisproved,
    SendRejected,
    SendStarted,
    SendUnconfirmed,
)

ATTEMPTS_KEPT = 500
"""
How many attempts of a part are remembered, one of which may have been disproved wrongly: a callback that names it proves so.

Four hours, after which a part that gets no answer is given up (`RETRY_OUTAGE_SECONDS`), have room for 480 of half a minute each.
"""

_CLOSING_REJECTIONS = frozenset({Rejection.UNREACHABLE, Rejection.OPTED_OUT})


def on_started(state: ThreadState, data: SendStarted, appended_at_ms: int) -> ThreadState:
    """
    Grant the part to this attempt if the part is the reply's next one, nobody holds it, and nothing proves that it was sent.

    Such a proof may have come between the last look of who starts and the start itself.
    """
    reply = state.reply(data.reply)
    if reply is None or reply.status is not ReplyStatus.ACCEPTED or data.part != next_part(reply):
        return state
    part = reply.parts[data.part]
    if part.status is not PartStatus.OPEN or attempt_of(part, data.attempt) or proven_attempt(part):
        return state
    attempts = (*part.attempts, Attempt(data.attempt, appended_at_ms))[-ATTEMPTS_KEPT:]
    return with_reply(state, with_part(reply, data.part, replace(part, status=PartStatus.STARTED, attempts=attempts)))


def on_sent(state: ThreadState, event: Event, data: MessageSent, partition: PartitionState, policy: Policy) -> ThreadState:
    """What was sent is never un-happened, whoever held the part; the first part of a reply that goes out is activity."""
    reply, now_ms = state.reply(data.reply), partition.log_time_ms
    part = part_of(reply, data.part)
    attempt = attempt_of(part, data.attempt) if part else None
    if is_accounted_for(state, data.sid, attempt):
        return state
    state = note_sent_message(state, event, data, reply, part, now_ms)
    attempt = attempt or _never_granted(part, data, partition.appended_at_ms)
    if reply is None or part is None or attempt is None or part.status is PartStatus.SENT:
        return state
    state = count_anew(state, reply.event, SENDER)
    state = news_again(replace(state, last_sent_reply=max(state.last_sent_reply, reply.number)), reply)
    if all(each.status is not PartStatus.SENT for each in reply.parts):
        state = _first_send(state, reply, now_ms, policy)
    if reply.status is ReplyStatus.WITHDRAWN:
        state, reply = was_said_after_all(state, reply)
    sent = _sent(part, attempt, state.known[data.sid])
    return _finish(state, with_part(reply, data.part, sent), now_ms, policy)


def on_rejected(state: ThreadState, event: Event, data: SendRejected, now_ms: int, policy: Policy) -> ThreadState:
    """The part, and with it the rest of the reply, is not delivered: a dead letter of the sender."""
    reply = state.reply(data.reply)
    part = part_of(reply, data.part)
    if reply is None or part is None or not _may_reject(reply, part, event, data):
        return state
    if data.attempt:
        part = with_outcome(part, data.attempt, Outcome.REJECTED)
    rejected = with_part(reply, data.part, replace(part, status=PartStatus.REJECTED))
    letter = DeadLetter(
        event=reply.event,
        group=SENDER,
        conversation_id=reply.conversation_id,
        error=f"send.rejected {data.reason.value}" + (f" {data.code}" if data.code else ""),
        fingerprint=f"send.rejected:{data.reason.value}:{data.code}",
        attempts=len(part.attempts),
        at_ms=now_ms,
    )
    state = with_dead_letter(state, letter)
    state = _finish(state, cancel_open_parts(rejected), now_ms, policy)
    if data.reason in _CLOSING_REJECTIONS and state.conversation and state.conversation.id == reply.conversation_id:
        state = give_up(state, state.unanswered, error=letter.error, attempts=0, at_ms=now_ms)
        return close(state, ClosedBy.FAILURE, now_ms)
    return state


def on_unsent(state: ThreadState, event: Event, data: SendDisproved | SendCancelled, now_ms: int) -> ThreadState:
    """Nothing came of this attempt, for certain: the part is open to another."""
    reply = state.reply(data.reply)
    part = part_of(reply, data.part)
    attempt = attempt_of(part, data.attempt) if part else None
    if reply is None or part is None or attempt is None or not _may_reopen(part, attempt, event):
        return state
    outcome = Outcome.DISPROVED if isinstance(data, SendDisproved) else Outcome.CANCELLED
    reopened = with_part(reply, data.part, replace(with_outcome(part, data.attempt, outcome), status=PartStatus.OPEN))
    return take_back(state, reopened, now_ms) if reopened.is_cut else with_reply(state, settled(reopened))


def on_unconfirmed(state: ThreadState, data: SendUnconfirmed, now_ms: int, policy: Policy) -> ThreadState:
    """Nobody can tell what came of this attempt: the reply waits for a person."""
    reply = state.reply(data.reply)
    part = part_of(reply, data.part)
    if reply is None or part is None or part.holder is None or part.holder.id != data.attempt:
        return state
    unsure = replace(with_outcome(part, data.attempt, Outcome.UNCONFIRMED), status=PartStatus.UNCONFIRMED)
    return _finish(state, with_part(reply, data.part, unsure), now_ms, policy)


def next_part(reply: Reply) -> int | None:
    """The part whose turn it is: the first that is not sent, if all before it were."""
    for index, part in enumerate(reply.parts):
        if part.status is not PartStatus.SENT:
            return index if part.status in {PartStatus.OPEN, PartStatus.STARTED} else None
    return None


def _first_send(state: ThreadState, reply: Reply, now_ms: int, policy: Policy) -> ThreadState:
    conversation = state.open_conversation
    if conversation is None or conversation.id != reply.conversation_id:
        return state
    if conversation.status is Status.PENDING:
        state = replace(state, conversation=replace(conversation, status=Status.ACTIVE))
    return touch(state, now_ms, policy)


def _finish(state: ThreadState, reply: Reply, now_ms: int, policy: Policy) -> ThreadState:
    """Settle a reply; what it wants takes effect when it is finished, and not again when a failure is reported later."""
    before, reply = state.reply(reply.id), settled(reply)
    state = with_reply(state, reply)
    return take_effect(state, reply, now_ms, policy) if before and before.status is ReplyStatus.ACCEPTED else state


def _sent(part: Part, attempt: Attempt, message: Message) -> Part:
    """The part as sent; a callback may have told of its failure before anybody said what it was."""
    attempt = replace(attempt, outcome=Outcome.SENT, failed_code=failed_code(message))
    if attempt_of(part, attempt.id) is None:
        part = replace(part, attempts=(*part.attempts, attempt)[-ATTEMPTS_KEPT:])
    return replace(with_attempt(part, attempt), status=PartStatus.SENT)


def _never_granted(part: Part | None, data: MessageSent, appended_at_ms: int) -> Attempt | None:
    """
    The attempt that sent a part of which nobody can tell, though this fold did not grant it; None for any other part.

    An earlier fold did: to it, a holder that woke up late had opened the part again. A person who is asked must not send twice.
    """
    is_in_doubt = part is not None and part.status is PartStatus.UNCONFIRMED
    return Attempt(data.attempt, appended_at_ms) if is_in_doubt else None


def _may_reject(reply: Reply, part: Part, event: Event, data: SendRejected) -> bool:
    if data.attempt is None:
        return reply.status is ReplyStatus.ACCEPTED and part.status is PartStatus.OPEN
    attempt = attempt_of(part, data.attempt)
    return attempt is not None and _may_reopen(part, attempt, event)


def _may_reopen(part: Part, attempt: Attempt, event: Event) -> bool:
    """
    An attempt may be undone by its holder, by a person if nobody knew, and by a callback that reported its failure.

    Not by a holder that slept until nobody knew: a person was told, and may have acted on it.
    """
    if part.attempts[-1].id != attempt.id:
        return False
    if part.status is PartStatus.UNCONFIRMED:
        return _is_by_person(event)
    reported_lost = part.status is PartStatus.SENT and attempt.failed_code is not None
    return part.status is PartStatus.STARTED or reported_lost


def _is_by_person(event: Event) -> bool:
    """What a handler records has a cause, and a person's word has none; no person cancels an attempt."""
    return event.causation_id is None and not isinstance(event.data, SendCancelled)
