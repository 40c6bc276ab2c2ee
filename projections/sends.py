"""Who may call Twilio for which part, and what came of it."""

from dataclasses import replace

from projections.changes import SENDER, count_anew, give_up, with_dead_letter, with_message, with_reply
from projections.message_status import FAILURES, UNTOLD_CODE, merge_status
from projections.policy import Policy
from projections.replies import cancel_open_parts, close, settled, take_back, take_effect, touch, was_said_after_all
from projections.state import (
    Attempt,
    ClosedBy,
    DeadLetter,
    Message,
    Outcome,
    Part,
    PartStatus,
    Reply,
    ReplyStatus,
    Status,
    ThreadState,
)
from streams.events import (
    Event,
    MessageSent,
    MessageStatusChanged,
    Rejection,
    SendCancelled,
    SendDisproved,
    SendRejected,
    SendStarted,
    SendUnconfirmed,
)

ATTEMPTS_KEPT = 8
"""How many attempts of a part are remembered; more are never made without a person."""

_CLOSING_REJECTIONS = frozenset({Rejection.UNREACHABLE, Rejection.OPTED_OUT})


def on_started(state: ThreadState, data: SendStarted, appended_at_ms: int) -> ThreadState:
    """Grant the part to this attempt if the part is the reply's next one and nobody holds it."""
    reply = state.reply(data.reply)
    if reply is None or reply.status is not ReplyStatus.ACCEPTED or data.part != next_part(reply):
        return state
    part = reply.parts[data.part]
    if part.status is not PartStatus.OPEN or _attempt(part, data.attempt):
        return state
    attempts = (*part.attempts, Attempt(data.attempt, appended_at_ms))[-ATTEMPTS_KEPT:]
    return with_reply(state, _with_part(reply, data.part, replace(part, status=PartStatus.STARTED, attempts=attempts)))


def on_sent(state: ThreadState, event: Event, data: MessageSent, now_ms: int, policy: Policy) -> ThreadState:
    """What was sent is never un-happened, whoever held the part; the first part of a reply that goes out is activity."""
    reply = state.reply(data.reply)
    part = _part(reply, data.part)
    attempt = _attempt(part, data.attempt) if part else None
    if _is_accounted_for(state, data.sid, attempt):
        return state
    state = _note_sent_message(state, event, data, reply, part, now_ms)
    if reply is None or part is None or attempt is None or part.status is PartStatus.SENT:
        return state
    state = count_anew(state, reply.event, SENDER)
    state = replace(state, last_sent_reply=max(state.last_sent_reply, reply.number))
    if all(each.status is not PartStatus.SENT for each in reply.parts):
        state = _first_send(state, reply, now_ms, policy)
    if reply.status is ReplyStatus.WITHDRAWN:
        state, reply = was_said_after_all(state, reply)
    sent = _sent(part, attempt, state.known[data.sid])
    return _finish(state, _with_part(reply, data.part, sent), now_ms, policy)


def on_rejected(state: ThreadState, data: SendRejected, now_ms: int, policy: Policy) -> ThreadState:
    """The part, and with it the rest of the reply, is not delivered: a dead letter of the sender."""
    reply = state.reply(data.reply)
    part = _part(reply, data.part)
    if reply is None or part is None or not _may_reject(reply, part, data):
        return state
    if data.attempt:
        part = _with_outcome(part, data.attempt, Outcome.REJECTED)
    rejected = _with_part(reply, data.part, replace(part, status=PartStatus.REJECTED))
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


def on_unsent(state: ThreadState, data: SendDisproved | SendCancelled, now_ms: int) -> ThreadState:
    """Nothing came of this attempt, for certain: the part is open to another."""
    reply = state.reply(data.reply)
    part = _part(reply, data.part)
    attempt = _attempt(part, data.attempt) if part else None
    if reply is None or part is None or attempt is None or not _may_reopen(part, attempt):
        return state
    outcome = Outcome.DISPROVED if isinstance(data, SendDisproved) else Outcome.CANCELLED
    reopened = _with_part(reply, data.part, replace(_with_outcome(part, data.attempt, outcome), status=PartStatus.OPEN))
    return take_back(state, reopened, now_ms) if reopened.is_cut else with_reply(state, settled(reopened))


def on_unconfirmed(state: ThreadState, data: SendUnconfirmed, now_ms: int, policy: Policy) -> ThreadState:
    """Nobody can tell what came of this attempt: the reply waits for a person."""
    reply = state.reply(data.reply)
    part = _part(reply, data.part)
    if reply is None or part is None or part.holder is None or part.holder.id != data.attempt:
        return state
    unsure = replace(_with_outcome(part, data.attempt, Outcome.UNCONFIRMED), status=PartStatus.UNCONFIRMED)
    return _finish(state, _with_part(reply, data.part, unsure), now_ms, policy)


def on_status_changed(state: ThreadState, event: Event, data: MessageStatusChanged, now_ms: int) -> ThreadState:
    """
    Join a callback into its message, known or not, and note on its attempt what it proves.

    It speaks of what was sent on its own thread; where the sid is that of another message, it changes nothing.
    """
    message = state.known.get(data.sid)
    if message is None:
        message = Message(data.sid, state.thread, "outbound", data.status, now_ms, event.id, attempt=data.attempt)
    if not _is_ours(message, state):
        return state
    state = with_message(state, merge_status(message, data.status, data.error_code))
    attempt_id = data.attempt or message.attempt
    for reply in state.replies:
        for index, part in enumerate(reply.parts):
            attempt = _attempt(part, attempt_id) if attempt_id else None
            if attempt:
                noted = _note_proof(attempt, state.known[data.sid])
                return with_reply(state, _with_part(reply, index, _with_attempt(part, noted))) if noted != attempt else state
    return state


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


def _note_sent_message(
    state: ThreadState, event: Event, data: MessageSent, reply: Reply | None, part: Part | None, now_ms: int
) -> ThreadState:
    known = state.known.get(data.sid)
    message = Message(
        sid=data.sid,
        thread=state.thread,
        direction="outbound",
        status=data.status,
        at_ms=now_ms,
        event=event.id,
        conversation_id=reply.conversation_id if reply else None,
        body=part.text if part else None,
        reply_id=data.reply,
        part=data.part,
        attempt=data.attempt,
    )
    is_told = known is not None and _is_ours(known, state)
    return with_message(state, merge_status(message, known.status, known.error_code) if known and is_told else message)


def _is_ours(message: Message, state: ThreadState) -> bool:
    return message.direction == "outbound" and message.thread == state.thread


def _is_accounted_for(state: ThreadState, sid: str, attempt: Attempt | None) -> bool:
    """
    A message belongs to who named it first, and once.

    A callback that carried the attempt weighs more: an equal body was taken for this one, or this one was given up and arrived
    after all. A failure that has been judged stays judged.
    """
    message = state.known.get(sid)
    if message is None or message.is_rumour:
        return False
    if not _is_ours(message, state):
        return True
    if attempt is None or attempt.proof_sid != message.sid or attempt.outcome is Outcome.SENT:
        return True
    return attempt.outcome in {Outcome.DISPROVED, Outcome.REJECTED} and attempt.failed_code is not None


def _note_proof(attempt: Attempt, message: Message) -> Attempt:
    return replace(attempt, proof_sid=attempt.proof_sid or message.sid, failed_code=_failed_code(message))


def _sent(part: Part, attempt: Attempt, message: Message) -> Part:
    """The part as sent; a callback may have told of its failure before anybody said what it was."""
    attempt = replace(attempt, outcome=Outcome.SENT, failed_code=_failed_code(message))
    return replace(_with_attempt(part, attempt), status=PartStatus.SENT)


def _failed_code(message: Message) -> int | None:
    return (message.error_code or UNTOLD_CODE) if message.status in FAILURES else None


def _may_reject(reply: Reply, part: Part, data: SendRejected) -> bool:
    if data.attempt is None:
        return reply.status is ReplyStatus.ACCEPTED and part.status is PartStatus.OPEN
    attempt = _attempt(part, data.attempt)
    return attempt is not None and _may_reopen(part, attempt)


def _may_reopen(part: Part, attempt: Attempt) -> bool:
    """An attempt may be undone by its holder, by a person if nobody knew, and by a callback that reported its failure."""
    if part.attempts[-1].id != attempt.id:
        return False
    reported_lost = part.status is PartStatus.SENT and attempt.failed_code is not None
    return part.status in {PartStatus.STARTED, PartStatus.UNCONFIRMED} or reported_lost


def _part(reply: Reply | None, index: int) -> Part | None:
    return reply.parts[index] if reply and 0 <= index < len(reply.parts) else None


def _attempt(part: Part, attempt_id: str) -> Attempt | None:
    return next((attempt for attempt in part.attempts if attempt.id == attempt_id), None)


def _with_part(reply: Reply, index: int, part: Part) -> Reply:
    return replace(reply, parts=(*reply.parts[:index], part, *reply.parts[index + 1 :]))


def _with_attempt(part: Part, attempt: Attempt) -> Part:
    return replace(part, attempts=tuple(attempt if each.id == attempt.id else each for each in part.attempts))


def _with_outcome(part: Part, attempt_id: str, outcome: Outcome) -> Part:
    attempt = _attempt(part, attempt_id)
    return _with_attempt(part, replace(attempt, outcome=outcome)) if attempt else part
