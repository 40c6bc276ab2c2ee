"""Why a person's act cannot be done as things stand, each in one sentence with what to do instead. Pure."""

from projections.state import ENDED, ClosedBy, Conversation, Status, ThreadState

WINDOW = (
    "WhatsApp lets us write freely for 24 hours after the contact's last message, and these are over; "
    "the contact has to write first"
)


def why_not_act(state: ThreadState | None, conversation_id: str, closer: str | None = None) -> str | None:
    """For any act: it is about the newest conversation of a thread, and that one must be open. `closer` closed it."""
    newest = state.conversation if state else None
    if newest is None or newest.id != conversation_id:
        after = f"; {newest.id} is the newest one with this contact" if newest else ""
        return f"conversation {conversation_id} is over{after}"
    if newest.status in ENDED:
        return f"conversation {conversation_id} {_ended(newest, closer)}; the contact's next message opens another one"
    return None


def why_not_take(state: ThreadState | None, conversation_id: str, closer: str | None, *, by: str) -> str | None:
    """What a colleague has is not taken unasked."""
    refusal = why_not_act(state, conversation_id, closer)
    holder = holder_of(state)
    if refusal is None and holder and holder != by:
        return f"{holder} has conversation {conversation_id}; to take it over all the same: --force"
    return refusal


def holder_of(state: ThreadState | None) -> str | None:
    """The person who has the thread's conversation."""
    conversation = state.open_conversation if state else None
    return conversation.taken_by if conversation and conversation.status is Status.HANDOFF else None


def why_not_release(state: ThreadState | None, conversation_id: str, closer: str | None = None) -> str | None:
    """Only what a person has, or was to have, can be given back to the AI."""
    refusal = why_not_act(state, conversation_id, closer)
    if refusal is None and state and state.conversation and state.conversation.status is not Status.HANDOFF:
        return f"nobody has taken conversation {conversation_id}: it is {state.conversation.status}, and the AI answers"
    return refusal


def why_not_reply(state: ThreadState | None, conversation_id: str, log_time_ms: int, closer: str | None = None) -> str | None:
    """A reply needs an open conversation, and WhatsApp's window."""
    refusal = why_not_act(state, conversation_id, closer)
    if refusal is None and state and log_time_ms >= state.window_closes_at_ms:
        return WINDOW
    return refusal


def _ended(conversation: Conversation, closer: str | None) -> str:
    if conversation.status is Status.EXPIRED:
        return "has expired"
    if conversation.closed_by is ClosedBy.PERSON and closer:
        return f"was closed by {closer}"
    return f"was closed by the {conversation.closed_by}" if conversation.closed_by else "is closed"
