"""Small steps of the fold: each puts one thing into the state and notes the row that changed with it."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from projections.state import Conversation, DeadLetter, Message, Reply, ReplyStatus, ThreadState, Unanswered

RECENT_EVENTS = 64
"""How far back a repeated event id is known; a client's retry comes within seconds."""

SETTLED_REPLIES = 10
"""How many finished replies a thread keeps, for callbacks that report a failure later."""

UNCONFIRMED_REPLIES = 100
"""How many replies that nobody can tell about a thread keeps for a person to settle."""

DEAD_LETTERS = 100
"""How many dead letters of a thread can be redriven."""

PROJECTOR = "projector"
RESPONDER = "responder"
SENDER = "sender"


def with_conversation(state: ThreadState, conversation: Conversation) -> ThreadState:
    return replace(state, conversation=conversation, changes=(*state.changes, conversation))


def with_message(state: ThreadState, message: Message) -> ThreadState:
    return replace(state, known=MappingProxyType({**state.known, message.sid: message}), changes=(*state.changes, message))


def with_reply(state: ThreadState, reply: Reply) -> ThreadState:
    """Add or replace a reply; of the finished ones only the newest are kept, longer where a person is to decide."""
    others = [other for other in state.replies if other.id != reply.id]
    replies = sorted((*others, reply), key=lambda each: each.number)
    finished = [each for each in replies if each.status is not ReplyStatus.ACCEPTED and not _is_redrivable(state, each)]
    unconfirmed = [each for each in finished if each.status is ReplyStatus.UNCONFIRMED]
    settled = [each for each in finished if each.status is not ReplyStatus.UNCONFIRMED]
    forgotten = {each.id for each in (*settled[:-SETTLED_REPLIES], *unconfirmed[:-UNCONFIRMED_REPLIES])}
    kept = tuple(each for each in replies if each.id not in forgotten)
    return replace(state, replies=kept, changes=(*state.changes, reply))


def with_dead_letter(state: ThreadState, letter: DeadLetter) -> ThreadState:
    """Add or replace a dead letter; only open ones stay in the state, and of too many the oldest are said to be forgotten."""
    others = tuple(other for other in state.dead_letters if (other.event, other.group) != (letter.event, letter.group))
    opened = (*others, letter) if letter.status == "open" else others
    forgotten = (replace(each, status="forgotten") for each in opened[:-DEAD_LETTERS])
    return replace(state, dead_letters=opened[-DEAD_LETTERS:], changes=(*state.changes, letter, *forgotten))


def count_anew(state: ThreadState, event: str, group: str) -> ThreadState:
    """Forget that the group has tried this event in vain."""
    others = tuple(each for each in state.attempts if (each.event, each.group) != (event, group))
    return replace(state, attempts=others)


def give_up(
    state: ThreadState,
    messages: Sequence[Unanswered],
    *,
    error: str,
    attempts: int,
    at_ms: int,
    fingerprint: str | None = None,
) -> ThreadState:
    """Turn unanswered messages into dead letters of the responder."""
    for message in messages:
        letter = DeadLetter(
            event=message.event,
            group=RESPONDER,
            conversation_id=state.conversation.id if state.conversation else None,
            error=error,
            fingerprint=fingerprint or error,
            attempts=attempts,
            at_ms=at_ms,
            unanswered=message,
        )
        state = with_dead_letter(state, letter)
    given_up = {message.event for message in messages}
    return replace(state, unanswered=tuple(each for each in state.unanswered if each.event not in given_up))


def wait_again(state: ThreadState, messages: Sequence[Unanswered]) -> ThreadState:
    """Let messages wait for an answer again, in the order in which they came."""
    waiting = {each.event: each for each in (*state.unanswered, *messages)}
    return replace(state, unanswered=tuple(sorted(waiting.values(), key=lambda each: each.number)))


def _is_redrivable(state: ThreadState, reply: Reply) -> bool:
    return any(letter.event == reply.event and letter.group == SENDER for letter in state.dead_letters)
