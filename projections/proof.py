"""What callbacks and sends say of a message, and what that proves about an attempt."""

from dataclasses import replace

from projections.changes import with_message, with_reply
from projections.message_status import FAILURES, UNTOLD_CODE, merge_status
from projections.parts import attempt_of, with_attempt, with_part
from projections.state import Attempt, Message, Outcome, Part, Reply, ThreadState
from streams.events import Event, MessageSent, MessageStatusChanged


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
            attempt = attempt_of(part, attempt_id) if attempt_id else None
            if attempt:
                noted = _note_proof(attempt, state.known[data.sid])
                return with_reply(state, with_part(reply, index, with_attempt(part, noted))) if noted != attempt else state
    return state


def note_sent_message(
    state: ThreadState, event: Event, data: MessageSent, reply: Reply | None, part: Part | None, now_ms: int
) -> ThreadState:
    """The row of what Twilio took, with what callbacks told of it before."""
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


def is_accounted_for(state: ThreadState, sid: str, attempt: Attempt | None) -> bool:
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
    return replace(attempt, proof_sid=attempt.proof_sid or message.sid, failed_code=failed_code(message))


def failed_code(message: Message) -> int | None:
    """Why it did not arrive, as it stands now; None where it may yet, or did."""
    return (message.error_code or UNTOLD_CODE) if message.status in FAILURES else None
