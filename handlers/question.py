"""What the model is shown: the conversation so far, and last what waits for an answer. Pure."""

from collections.abc import Sequence

from handlers.model import Question, Turn
from projections.reader import Line
from projections.state import PartStatus, ReplyKind, ReplyStatus, ThreadState, Unanswered

_ON_ITS_WAY = frozenset({PartStatus.OPEN, PartStatus.STARTED})


def question_of(state: ThreadState, lines: Sequence[Line], waiting: Sequence[Unanswered]) -> Question:
    """
    `lines` are messages in the order of the log; `waiting` are those to answer.

    What the contact wrote after these is left out, since the answer will not cover it. What was answered and is still on its way
    to the contact stands there as if it had arrived, lest the model says it again.
    """
    events = {message.event for message in waiting}
    places = [index for index, line in enumerate(lines) if line.event in events]
    end = places[-1] if places else len(lines)
    before = [_turn(line) for index, line in enumerate(lines) if index not in places and (index < end or not _is_inbound(line))]
    asked = tuple(lines[index].body for index in places)
    return Question(state.thread, (*before, *_on_their_way(state, lines)), asked)


def newest_sid(lines: Sequence[Line], waiting: Sequence[Unanswered]) -> str | None:
    """The sid of the newest message to answer."""
    events = {message.event for message in waiting}
    return next((line.sid for line in reversed(lines) if line.event in events), None)


def _turn(line: Line) -> Turn:
    if _is_inbound(line):
        return Turn("contact", line.body)
    return Turn("person" if line.is_by_person else "assistant", line.body)


def _is_inbound(line: Line) -> bool:
    return line.direction == "inbound"


def _on_their_way(state: ThreadState, lines: Sequence[Line]) -> list[Turn]:
    """A part that was sent between two reads stands in both; it is said once."""
    said = {line.body for line in lines if not _is_inbound(line)}
    return [
        Turn("person" if reply.kind is ReplyKind.PERSON else "assistant", part.text)
        for reply in state.replies
        if reply.status is ReplyStatus.ACCEPTED and state.conversation and reply.conversation_id == state.conversation.id
        for part in reply.parts
        if part.status in _ON_ITS_WAY and part.text not in said
    ]
