"""A person takes a conversation over, answers, gives it back or closes it: each an event, reported as the fold took it."""

from collections.abc import Callable
from dataclasses import dataclass

from ulid import ULID

from handlers.parts import MOST_PARTS, PART_LIMIT, split
from operations.changes import changes_between, releaser_or_closer
from operations.connection import Connection
from operations.conversations import Listed
from operations.errors import ActLapsed, ActRefused, NotFoldedYet
from operations.permission import holder_of, why_not_act, why_not_release, why_not_reply, why_not_take
from projections.reader import View
from projections.state import Conversation, PartStatus, Reply, ReplyStatus, Status, ThreadState
from streams.events import AnyEventData, ConversationClosed, ConversationReleased, ConversationTaken, PersonReplied


@dataclass(frozen=True, slots=True)
class Act:
    """
    What came of an act: the conversation as it stands now, and what changed on its thread since the decision, in short sentences.

    `withdrawn` are replies of the AI that will not be said after all; `in_flight` are those that had begun to be sent: the part
    that is with Twilio goes out, and nothing after it.
    """

    conversation: Conversation
    changes: tuple[str, ...]
    withdrawn: tuple[Reply, ...] = ()
    in_flight: tuple[Reply, ...] = ()


async def take(connection: Connection, conversation: Listed, *, by: str) -> Act:
    """
    A person answers from here on, and the AI is silent: also with a reply that it has not begun to say.

    Every act here raises `ActRefused`, `ActLapsed`, `LogUnavailable`, `ReadModelUnavailable`, `ActUnconfirmed` where nobody knows
    whether it counts, and `NotFoldedYet` where it does and nobody has seen it yet.
    """
    return await _take(
        connection, conversation, lambda view: why_not_take(view.state, conversation.id, conversation.closer, by=by), by=by
    )


async def take_from_anybody(connection: Connection, conversation: Listed, *, by: str) -> Act:
    """The same, also where a colleague has it."""
    return await _take(
        connection, conversation, lambda view: why_not_act(view.state, conversation.id, conversation.closer), by=by
    )


async def _take(connection: Connection, conversation: Listed, refusal: Callable[[View], str | None], *, by: str) -> Act:
    """What the person has already is not taken again: nothing is written."""
    view = await connection.look(conversation.thread)
    if refusal(view) is None and holder_of(view.state) == by and view.state and view.state.conversation:
        return Act(view.state.conversation, ("it is yours already",))
    taken = ConversationTaken(by=by, conversation=conversation.id)
    act, _ = await _act(connection, conversation, taken, refusal)
    return _unless_lapsed(act, conversation, (act.conversation.status, act.conversation.taken_by) == (Status.HANDOFF, by))


async def release(connection: Connection, conversation: Listed, *, by: str) -> Act:
    """The AI answers again; what the contact wrote before counts as answered."""
    released = ConversationReleased(by=by, conversation=conversation.id)
    act, _ = await _act(
        connection, conversation, released, lambda view: why_not_release(view.state, conversation.id, conversation.closer)
    )
    return _unless_lapsed(act, conversation, act.conversation.status is not Status.HANDOFF)


async def close(connection: Connection, conversation: Listed, *, by: str) -> Act:
    """It is over, and what was unanswered in it is nobody's task any more."""
    closed = ConversationClosed(by=by, conversation=conversation.id)
    act, _ = await _act(
        connection, conversation, closed, lambda view: why_not_act(view.state, conversation.id, conversation.closer)
    )
    return _unless_lapsed(act, conversation, act.conversation.status is Status.CLOSED)


async def reply(connection: Connection, conversation: Listed, text: str, *, by: str) -> tuple[Act, str]:
    """
    A person answers, in one or more WhatsApp messages; also the id of the reply, which the sender sends like any other.

    It does not take the conversation over: whoever wants the AI to be silent from here on takes it first.
    """
    parts = split(text, most=MOST_PARTS + 1)
    if not parts:
        raise ActRefused("there is nothing to say")
    if len(parts) > MOST_PARTS:
        raise ActRefused(f"that is too long: a reply has at most {MOST_PARTS} messages of {PART_LIMIT} characters")
    said = PersonReplied(reply=str(ULID()), parts=parts, by=by, conversation=conversation.id)
    act, state = await _act(
        connection,
        conversation,
        said,
        lambda view: why_not_reply(view.state, conversation.id, view.log_time_ms, conversation.closer),
    )
    if state.reply(said.reply):
        return act, said.reply  # it counted, whatever came after: a refusal by Twilio may have closed the conversation since
    return _unless_lapsed(act, conversation, act.conversation.is_open), said.reply


async def _act(
    connection: Connection, conversation: Listed, data: AnyEventData, refusal: Callable[[View], str | None]
) -> tuple[Act, ThreadState]:
    """Write an act down, and see what came of it; also the thread as it stands then."""
    before = await connection.look(conversation.thread)
    why_not = refusal(before)
    if why_not or before.state is None:
        raise ActRefused(why_not or f"nobody has seen the thread of conversation {conversation.id}")
    appended = await connection.append(data, subject=conversation.thread, owner=conversation.owner)
    await connection.folded(appended)
    after = await connection.look(conversation.thread)
    if after.state is None or after.state.conversation is None:
        raise NotFoldedYet(f"it stands in the log and will count; the read model is without conversation {conversation.id} now")
    act = _report(before.state, after.state, after.state.conversation, after.log_time_ms, releaser_or_closer(data))
    return act, after.state


def _unless_lapsed(act: Act, meant: Listed, has_come_about: bool) -> Act:
    now = act.conversation
    if now.id != meant.id:
        raise ActLapsed(f"it was too late: conversation {meant.id} is over, and {now.id} has begun since")
    if not has_come_about:
        raise ActLapsed(f"it was too late: conversation {now.id} is {now.status} by now")
    return act


def _report(before: ThreadState, after: ThreadState, conversation: Conversation, now_ms: int, by: str | None) -> Act:
    was_to_be_said = [reply for reply in after.replies if (known := before.reply(reply.id)) and _is_to_be_said(known)]
    return Act(
        conversation,
        changes_between(before, after, now_ms, by=by),
        withdrawn=tuple(reply for reply in was_to_be_said if reply.status is ReplyStatus.WITHDRAWN),
        in_flight=tuple(reply for reply in was_to_be_said if reply.is_cut and _is_in_flight(reply)),
    )


def _is_to_be_said(reply: Reply) -> bool:
    return reply.status is ReplyStatus.ACCEPTED


def _is_in_flight(reply: Reply) -> bool:
    return any(part.status is PartStatus.STARTED for part in reply.parts)
