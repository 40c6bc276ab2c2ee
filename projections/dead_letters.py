"""Attempts that failed, events that were given up, and those that a person sends round again."""

from dataclasses import replace
from typing import assert_never

from projections.changes import (
    RESPONDER,
    SENDER,
    count_anew,
    give_up,
    wait_again,
    with_conversation,
    with_dead_letter,
    with_reply,
)
from projections.deadlines import slide
from projections.policy import Policy
from projections.replies import answered_by, cancel_open_parts, on_failure_sentence, settled, take_effect
from projections.state import (
    Conversation,
    DeadLetter,
    EventAttempts,
    Part,
    PartStatus,
    Reply,
    ReplyStatus,
    Status,
    ThreadState,
)
from streams.events import (
    AttemptFailed,
    AttemptPaused,
    AttemptStarted,
    DeadLetterDiscarded,
    Event,
    EventDeadLettered,
    RedriveRequested,
    ReplyFailed,
)

COUNTED_EVENTS = 32
"""How many events of a thread are counted at once; a thread has one event in work per group."""


def on_attempt(state: ThreadState, data: AttemptStarted | AttemptPaused | AttemptFailed) -> ThreadState:
    """Count, so that the count survives the worker."""
    counted = attempts_of(state, data.event, data.group)
    others = tuple(each for each in state.attempts if (each.event, each.group) != (data.event, data.group))
    match data:
        case AttemptFailed():
            counted = replace(counted, failed=counted.failed + 1)
        case AttemptStarted():
            counted = replace(counted, started_alone=counted.started_alone + 1, is_alone=True)
        case AttemptPaused():
            counted = replace(counted, started_alone=counted.started_alone - counted.is_alone, is_alone=False)
        case _:
            assert_never(data)
    return replace(state, attempts=(*others, counted)[-COUNTED_EVENTS:])


def attempts_of(state: ThreadState, event: str, group: str) -> EventAttempts:
    """How often the group has tried this event."""
    for counted in state.attempts:
        if (counted.event, counted.group) == (event, group):
            return counted
    return EventAttempts(event, group)


def on_reply_failed(state: ThreadState, event: Event, data: ReplyFailed, now_ms: int, policy: Policy) -> ThreadState:
    """What it gives up becomes dead letters, if these messages still are the oldest that wait and the AI was to answer them."""
    covered = answered_by(state, data.first_event, data.last_event)
    if not covered or not state.ai_may_answer:
        return state
    if data.gives_up:
        state = give_up(state, covered, error=data.error, attempts=data.attempts, at_ms=now_ms, fingerprint=data.fingerprint)
    return on_failure_sentence(state, event, data, now_ms, policy)


def on_dead_lettered(state: ThreadState, data: EventDeadLettered, now_ms: int, policy: Policy) -> ThreadState:
    """
    Record what a group gave up. A message no longer waits; what is open of a reply is not sent.

    Of a reply that was finished before, the sender failed on what a callback told: that is left alone until somebody redrives it.
    """
    waiting = [message for message in state.unanswered if message.event == data.event]
    if data.group == RESPONDER and waiting:
        return give_up(state, waiting, error=data.error, attempts=data.attempts, at_ms=now_ms, fingerprint=data.fingerprint)
    reply = next((each for each in state.replies if each.event == data.event), None)
    known = _letter(state, data)
    letter = DeadLetter(
        event=data.event,
        group=data.group,
        conversation_id=reply.conversation_id if reply else (state.conversation.id if state.conversation else None),
        error=data.error,
        fingerprint=data.fingerprint,
        attempts=data.attempts,
        at_ms=now_ms,
        unanswered=known.unanswered if known else None,
    )
    state = with_dead_letter(state, letter)
    if data.group == SENDER and reply:
        return _without(state, reply, now_ms, policy)
    return state


def on_redrive(state: ThreadState, event: Event, data: RedriveRequested, now_ms: int, policy: Policy) -> ThreadState:
    """
    Send a dead letter round again: a message waits anew, a reply may be sent anew if no newer one went out.

    Its attempts are counted anew too. A part that nobody could tell about is settled anew, before it may be sent.
    """
    letter = _letter(state, data)
    if letter is None:
        return state
    state = count_anew(state, data.event, data.group)
    if data.group == RESPONDER and letter.unanswered:
        state = with_dead_letter(state, replace(letter, status="redriven"))
        state = state if state.open_conversation else open_conversation(state, event, now_ms, policy)
        return wait_again(state, (letter.unanswered,))
    reply = next((each for each in state.replies if each.event == data.event), None)
    if data.group == SENDER and reply:
        if state.last_sent_reply > reply.number:
            return with_dead_letter(state, replace(letter, status="refused"))
        state = with_dead_letter(state, replace(letter, status="redriven"))
        return with_reply(state, _reopened(reply))
    return with_dead_letter(state, replace(letter, status="redriven"))


def on_discarded(state: ThreadState, data: DeadLetterDiscarded) -> ThreadState:
    """Nothing will be done about it; what it left unanswered or unsent stays so."""
    letter = _letter(state, data)
    return with_dead_letter(state, replace(letter, status="discarded")) if letter else state


def open_conversation(state: ThreadState, event: Event, now_ms: int, policy: Policy) -> ThreadState:
    """Open a conversation, linked to the one that ended before."""
    conversation = Conversation(
        id=event.id,
        thread=state.thread,
        owner=state.owner,
        status=Status.PENDING,
        opened_at_ms=now_ms,
        last_activity_at_ms=now_ms,
        previous_conversation_id=state.conversation.id if state.conversation else None,
    )
    return with_conversation(state, slide(conversation, now_ms, policy))


def _letter(state: ThreadState, data: EventDeadLettered | RedriveRequested | DeadLetterDiscarded) -> DeadLetter | None:
    return next((each for each in state.dead_letters if (each.event, each.group) == (data.event, data.group)), None)


def _without(state: ThreadState, reply: Reply, now_ms: int, policy: Policy) -> ThreadState:
    if reply.status is not ReplyStatus.ACCEPTED:
        return with_reply(state, replace(reply, is_left_alone=True))
    reply = _given_up(reply)
    return take_effect(with_reply(state, reply), reply, now_ms, policy)


def _given_up(reply: Reply) -> Reply:
    """A part in somebody's hands may have gone out: for a person to say. The rest is not sent."""
    parts = tuple(
        replace(part, status=PartStatus.UNCONFIRMED) if part.status is PartStatus.STARTED else part
        for part in cancel_open_parts(reply).parts
    )
    return _failed_unless_unsure(replace(reply, parts=parts))


def _failed_unless_unsure(reply: Reply) -> Reply:
    judged = settled(reply)
    return judged if judged.status is ReplyStatus.UNCONFIRMED else replace(judged, status=ReplyStatus.FAILED)


def _reopened(reply: Reply) -> Reply:
    return settled(replace(reply, parts=tuple(_again(part) for part in reply.parts), is_cut=False, is_left_alone=False))


def _again(part: Part) -> Part:
    """Whoever held a part that nobody could tell about holds it again, so that it is settled before any other attempt."""
    if part.status is PartStatus.UNCONFIRMED:
        attempts = (*part.attempts[:-1], replace(part.attempts[-1], outcome=None))
        return replace(part, status=PartStatus.STARTED, attempts=attempts)
    return replace(part, status=PartStatus.OPEN) if part.status in _UNSENT else part


_UNSENT = frozenset({PartStatus.REJECTED, PartStatus.CANCELLED})
