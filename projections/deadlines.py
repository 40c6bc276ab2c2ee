"""Idle, expired, and handoffs that run out: derived from log time, by whichever event comes first after the deadline."""

from dataclasses import replace

from projections.changes import give_up, with_conversation
from projections.policy import Policy
from projections.state import Conversation, ReplyStatus, Status, ThreadState
from streams.events import AfterHandoff

EXPIRED_UNANSWERED = "conversation.expired"


def slide(conversation: Conversation, at_ms: int, policy: Policy) -> Conversation:
    """Count the silence from here on. The times are stored, so that a later change of policy leaves them alone."""
    match conversation.status:
        case Status.PENDING:
            return replace(conversation, idle_at_ms=None, ends_at_ms=at_ms + policy.expire_pending_after_ms)
        case Status.ACTIVE | Status.IDLE:
            return replace(conversation, idle_at_ms=at_ms + policy.idle_after_ms, ends_at_ms=at_ms + policy.expire_after_ms)
        case Status.HANDOFF:
            return replace(conversation, idle_at_ms=None, ends_at_ms=at_ms + policy.handoff_expires_after_ms)
        case Status.EXPIRED | Status.CLOSED:
            return conversation


def ended(conversation: Conversation, at_ms: int) -> Conversation:
    """The conversation with nothing left to come."""
    return replace(conversation, ended_at_ms=at_ms, idle_at_ms=None, ends_at_ms=None, next_deadline_at_ms=None)


def next_deadline_ms(state: ThreadState) -> int | None:
    """When silence next changes this thread. An active conversation is not idle while anything waits to be answered or sent."""
    conversation = state.open_conversation
    if conversation is None or conversation.ends_at_ms is None:
        return None
    waits = state.unanswered or any(reply.status is ReplyStatus.ACCEPTED for reply in state.replies)
    if conversation.status is Status.ACTIVE and conversation.idle_at_ms is not None and not waits:
        return min(conversation.idle_at_ms, conversation.ends_at_ms)
    return conversation.ends_at_ms


def apply_deadlines(state: ThreadState, log_time_ms: int, policy: Policy) -> ThreadState:
    """Bring a thread up to the given log time; what changes, changes at its deadline and not at the event that showed it."""
    while (conversation := state.open_conversation) is not None:
        deadline = next_deadline_ms(state)
        if deadline is None or deadline > log_time_ms:
            break
        state = _pass_deadline(state, conversation, deadline, policy)
    return state


def _pass_deadline(state: ThreadState, conversation: Conversation, deadline: int, policy: Policy) -> ThreadState:
    if conversation.status is Status.HANDOFF and policy.after_handoff is AfterHandoff.ACTIVE:
        active = replace(conversation, status=Status.ACTIVE, taken_by=None)
        return with_conversation(state, slide(active, deadline, policy))
    if conversation.status is Status.ACTIVE and deadline != conversation.ends_at_ms:
        return with_conversation(state, replace(conversation, status=Status.IDLE, idle_at_ms=None))
    expired = ended(replace(conversation, status=Status.EXPIRED), deadline)
    state = give_up(state, state.unanswered, error=EXPIRED_UNANSWERED, attempts=0, at_ms=deadline)
    return with_conversation(state, expired)
