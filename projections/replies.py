"""Which replies count, which are withdrawn, and what a finished one does to its conversation."""

from dataclasses import replace

from projections.changes import give_up, wait_again, with_conversation, with_reply
from projections.deadlines import EXPIRED_UNANSWERED, ended, slide
from projections.policy import Policy
from projections.state import (
    ClosedBy,
    Part,
    PartStatus,
    Reply,
    ReplyKind,
    ReplyStatus,
    Status,
    ThreadState,
    Unanswered,
)
from streams.events import Event, PersonReplied, ReplyFailed, ReplyGenerated

_AWAITED = frozenset({PartStatus.OPEN, PartStatus.STARTED})
_UNSAID = frozenset({PartStatus.OPEN, PartStatus.CANCELLED})
_MAY_STILL_SPEAK = frozenset({ReplyStatus.ACCEPTED, ReplyStatus.UNCONFIRMED, ReplyStatus.SENT})
"""Unconfirmed and sent ones too: a part of theirs is open again once it turns out not to have been delivered."""


def on_generated(state: ThreadState, event: Event, data: ReplyGenerated, now_ms: int) -> ThreadState:
    """Accept an answer that begins at the oldest unanswered message and leaves none out, or is final; else it is superseded."""
    if state.reply(data.reply):
        return state
    covered = answered_by(state, data.first_event, data.last_event)
    in_time = data.final or len(covered) == len(state.unanswered)
    is_accepted = bool(covered) and in_time and state.ai_may_answer
    state, number = _next_number(state)
    reply = Reply(
        id=data.reply,
        event=event.id,
        conversation_id=state.conversation.id if state.conversation else "",
        kind=ReplyKind.ANSWER,
        status=ReplyStatus.ACCEPTED if is_accepted else ReplyStatus.SUPERSEDED,
        number=number,
        at_ms=now_ms,
        parts=tuple(Part(text) for text in data.parts),
        covers=covered,
        closes=data.closes,
        hands_off=data.hands_off,
        model=data.model,
    )
    if is_accepted:
        state = replace(state, unanswered=state.unanswered[len(covered) :])
    return with_reply(state, reply)


def on_failure_sentence(state: ThreadState, event: Event, data: ReplyFailed, now_ms: int, policy: Policy) -> ThreadState:
    """
    Say the failure sentence; it answers nothing.

    A contact who was told is not told again before an answer went out, or the idle timeout has passed; and for one last inbound
    message never twice.
    """
    conversation = state.conversation
    if not data.sentence or state.sentence_given_for == data.last_event or conversation is None:
        return state
    if state.sentence_given_at_ms is not None and now_ms < state.sentence_given_at_ms + policy.idle_after_ms:
        return state
    state, number = _next_number(replace(state, sentence_given_for=data.last_event, sentence_given_at_ms=now_ms))
    reply = Reply(
        id=data.reply,
        event=event.id,
        conversation_id=conversation.id,
        kind=ReplyKind.FAILURE_SENTENCE,
        status=ReplyStatus.ACCEPTED,
        number=number,
        at_ms=now_ms,
        parts=(Part(data.sentence),),
    )
    return with_reply(state, reply)


def on_person_replied(state: ThreadState, event: Event, data: PersonReplied, now_ms: int, policy: Policy) -> ThreadState:
    """A person's message is always accepted, answers all that came before, and is activity."""
    conversation = state.conversation
    if conversation is None:
        return state
    state, number = _next_number(state)
    reply = Reply(
        id=data.reply,
        event=event.id,
        conversation_id=conversation.id,
        kind=ReplyKind.PERSON,
        status=ReplyStatus.ACCEPTED,
        number=number,
        at_ms=now_ms,
        parts=tuple(Part(text) for text in data.parts),
        covers=state.unanswered,
        by=data.by,
    )
    return touch(with_reply(settle_inbound(state), reply), now_ms, policy)


def news_again(state: ThreadState, sent: Reply) -> ThreadState:
    """An answer went out that came after the failure sentence: the next failure is told anew."""
    if any(each.kind is ReplyKind.FAILURE_SENTENCE and each.number >= sent.number for each in state.replies):
        return state
    return replace(state, sentence_given_at_ms=None)


def answered_by(state: ThreadState, first_event: str, last_event: str) -> tuple[Unanswered, ...]:
    """The unanswered messages from first to last, if the first is the oldest; nothing otherwise."""
    events = [message.event for message in state.unanswered]
    if not events or events[0] != first_event or last_event not in events:
        return ()
    return state.unanswered[: events.index(last_event) + 1]


def touch(state: ThreadState, now_ms: int, policy: Policy) -> ThreadState:
    """Note activity: deadlines slide, and an idle conversation is active again."""
    conversation = state.open_conversation
    if conversation is None:
        return state
    if conversation.status is Status.IDLE:
        conversation = replace(conversation, status=Status.ACTIVE)
    return with_conversation(state, slide(replace(conversation, last_activity_at_ms=now_ms), now_ms, policy))


def withdraw_unstarted(state: ThreadState, now_ms: int) -> ThreadState:
    """
    Somebody took over or closed: take back what the AI has not begun to say.

    A part that was begun is left to be settled; a person's own message stays.
    """
    for reply in state.replies:
        if reply.status in _MAY_STILL_SPEAK and reply.kind is not ReplyKind.PERSON and not reply.is_cut:
            state = take_back(state, replace(reply, is_cut=True), now_ms)
    return state


def take_back(state: ThreadState, reply: Reply, now_ms: int) -> ThreadState:
    """
    Leave the open parts unsaid; if nothing went out, what the reply covers waits again, unless somebody has dealt with it.

    Where the conversation expired meanwhile, nobody would look: these messages become dead letters, like others at an expiry.
    """
    if any(part.status not in _UNSAID for part in reply.parts):
        return with_reply(state, settled(cancel_open_parts(reply)))
    state = with_reply(state, replace(reply, status=ReplyStatus.WITHDRAWN))
    if reply.kind is ReplyKind.FAILURE_SENTENCE:
        state = replace(state, sentence_given_at_ms=None)
    waiting = [message for message in reply.covers if message.number > state.settled_inbound]
    if state.open_conversation is None:
        return give_up(state, waiting, error=EXPIRED_UNANSWERED, attempts=0, at_ms=now_ms)
    return wait_again(state, waiting)


def was_said_after_all(state: ThreadState, reply: Reply) -> tuple[ThreadState, Reply]:
    """A withdrawn reply of which a part was sent, as it turns out: it has answered its messages, and says nothing more."""
    unanswered = tuple(message for message in state.unanswered if message not in reply.covers)
    return replace(state, unanswered=unanswered), cancel_open_parts(reply)


def settle_inbound(state: ThreadState) -> ThreadState:
    """Nothing that the contact wrote so far waits any more."""
    return replace(state, unanswered=(), settled_inbound=state.inbound_count)


def cancel_open_parts(reply: Reply) -> Reply:
    """Leave out what was not begun."""
    parts = tuple(replace(part, status=PartStatus.CANCELLED) if part.status is PartStatus.OPEN else part for part in reply.parts)
    return replace(reply, parts=parts)


def settled(reply: Reply) -> Reply:
    """The reply with the status that its parts add up to."""
    statuses = {part.status for part in reply.parts}
    if PartStatus.REJECTED in statuses:
        status = ReplyStatus.FAILED
    elif PartStatus.UNCONFIRMED in statuses:
        status = ReplyStatus.UNCONFIRMED
    elif statuses & _AWAITED:
        status = ReplyStatus.ACCEPTED
    elif PartStatus.CANCELLED in statuses:
        status = ReplyStatus.CANCELLED
    else:
        status = ReplyStatus.SENT
    return replace(reply, status=status)


def take_effect(state: ThreadState, reply: Reply, now_ms: int, policy: Policy) -> ThreadState:
    """
    Close or hand off as the reply said, when nothing of it is awaited any more.

    It lapses if newer inbound waits by then or has another answer, since the contact went on talking, and if a person took over
    meanwhile.
    """
    conversation = state.open_conversation
    if conversation is None or conversation.id != reply.conversation_id or reply.status is ReplyStatus.ACCEPTED:
        return state
    if state.unanswered or _was_overtaken(state, reply) or reply.is_cut or not state.ai_may_answer:
        return state
    if reply.closes:
        return close(state, ClosedBy.AI, now_ms)
    if reply.hands_off:
        return with_conversation(state, slide(replace(conversation, status=Status.HANDOFF, taken_by=None), now_ms, policy))
    return state


def _was_overtaken(state: ThreadState, reply: Reply) -> bool:
    newer = (each for each in state.replies if each.number > reply.number and each.kind is not ReplyKind.FAILURE_SENTENCE)
    return any(each.status not in (ReplyStatus.SUPERSEDED, ReplyStatus.WITHDRAWN) for each in newer)


def close(state: ThreadState, closed_by: ClosedBy, now_ms: int) -> ThreadState:
    """End the open conversation; what was unanswered in it is nobody's task any more."""
    conversation = state.open_conversation
    if conversation is None:
        return state
    closed = replace(conversation, status=Status.CLOSED, closed_by=closed_by)
    return with_conversation(settle_inbound(state), ended(closed, now_ms))


def _next_number(state: ThreadState) -> tuple[ThreadState, int]:
    number = state.reply_count + 1
    return replace(state, reply_count=number), number
