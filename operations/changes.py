"""What an event changed on a thread, in short sentences. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from projections.state import ClosedBy, Conversation, DeadLetter, Message, Part, PartStatus, Reply, ReplyKind, Status, ThreadState
from streams.events import AnyEventData, ConversationClosed, ConversationReleased

_SAYS = {ReplyKind.ANSWER: "reply", ReplyKind.FAILURE_SENTENCE: "failure sentence", ReplyKind.PERSON: "person's reply"}


def changes_between(before: ThreadState, after: ThreadState, now_ms: int, *, by: str | None = None) -> tuple[str, ...]:
    """
    What is different; nothing where the event was known already or came too late to count.

    `by` is who released or closed, which no state holds: see `releaser_or_closer`.
    Times stand in the time zone of this process, as log time has them.
    """
    return (
        *_of_conversation(before.conversation, after.conversation, now_ms, by),
        *_of_waiting(len(before.unanswered), len(after.unanswered)),
        *_of_replies(before, after),
        *_of_messages(before, after),
        *_of_dead_letters(after),
    )


def releaser_or_closer(event_data: AnyEventData) -> str | None:
    """The name of the person, where such an event is one of these acts."""
    return event_data.by if isinstance(event_data, ConversationReleased | ConversationClosed) else None


def at(time_ms: int, now_ms: int) -> str:
    """A moment as a person reads it: the hour, and the day where it is another one."""
    moment, now = datetime.fromtimestamp(time_ms / 1000), datetime.fromtimestamp(now_ms / 1000)
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%d %b %H:%M}"


def _of_conversation(before: Conversation | None, after: Conversation | None, now_ms: int, by: str | None) -> Iterator[str]:
    if after is None:
        return
    if before is None or before.id != after.id:
        yield "opened conversation" if after.previous_conversation_id is None else "opened conversation, linked to the one before"
        before = None
    if before is None or before.status is not after.status:
        told = f"{after.status}{_by(before, after, by)}"
        yield f"status {before.status} → {told}" if before else f"status {told}"
    if after.taken_by and (before is None or before.taken_by != after.taken_by):
        yield f"taken by {after.taken_by}{f', was with {before.taken_by}' if before and before.taken_by else ''}"
    deadline = after.next_deadline_at_ms
    if deadline is not None and (before is None or before.next_deadline_at_ms != deadline):
        yield f"{_becomes(after)} at {at(deadline, now_ms)}"


def _by(before: Conversation | None, after: Conversation, by: str | None) -> str:
    if after.closed_by:
        return f" by {by if by and after.closed_by is ClosedBy.PERSON else after.closed_by}"
    was_with_a_person = before is not None and before.status is Status.HANDOFF
    return f", released by {by}" if by and was_with_a_person and after.status is Status.ACTIVE else ""


def _becomes(conversation: Conversation) -> str:
    if conversation.status is Status.HANDOFF:
        return "handoff ends"
    return "idle" if conversation.next_deadline_at_ms == conversation.idle_at_ms else "expires"


def _of_waiting(before: int, after: int) -> Iterator[str]:
    if before != after:
        yield f"{after or 'nothing'} unanswered"


def _of_replies(before: ThreadState, after: ThreadState) -> Iterator[str]:
    for reply in after.replies:
        known = before.reply(reply.id)
        if known is None or known.status is not reply.status:
            yield f"{_SAYS[reply.kind]} {reply.status}"
        yield from _of_parts(known, reply)


def _of_parts(before: Reply | None, after: Reply) -> Iterator[str]:
    for index, part in enumerate(after.parts):
        known = before.parts[index].status if before else PartStatus.OPEN
        if part.status is not known:
            yield f"part {index + 1} {_told(part)}"


def _told(part: Part) -> str:
    if part.status is not PartStatus.OPEN:
        return part.status
    outcomes = [attempt.outcome for attempt in part.attempts if attempt.outcome]
    return f"open again, attempt {outcomes[-1]}" if outcomes else "open again"


def _of_messages(before: ThreadState, after: ThreadState) -> Iterator[str]:
    """How far what we sent came; that something was sent or received is told already."""
    for message in _last(change for change in after.changes if isinstance(change, Message)):
        known = before.known.get(message.sid)
        if message.direction == "outbound" and known and (known.status, known.error_code) != (message.status, message.error_code):
            yield f"message {message.status}" + (f" ({message.error_code})" if message.error_code else "")


def _of_dead_letters(after: ThreadState) -> Iterator[str]:
    for change in after.changes:
        if isinstance(change, DeadLetter):
            yield f"dead letter of the {change.group} {change.status}: {change.error}"


def _last(messages: Iterable[Message]) -> Iterable[Message]:
    return {message.sid: message for message in messages}.values()
