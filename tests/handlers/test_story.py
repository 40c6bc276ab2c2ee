"""What the handlers tell at INFO: what was answered, what went out, and why something was not."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.decide import silence_of
from handlers.outcome_lines import tell
from handlers.respond import Responder
from projections.changes import RESPONDER
from projections.state import ClosedBy, Conversation, Reply, ReplyKind, ReplyStatus, Status, ThreadState, Unanswered
from streams.envelope import new_event
from streams.events import (
    AnyEventData,
    ConversationTaken,
    MessageSent,
    PolicyChanged,
    Rejection,
    ReplyGenerated,
    SendRejected,
    SendStarted,
    SendUnconfirmed,
)
from streams.log import Appended
from streams.partitions import partition_of_subject, partition_subject
from tests.handlers.world import PARTITIONS, Model, World, thread_of

ANA = thread_of(1)
GENERATED = {"reply": "r1", "first_event": "e1", "last_event": "e1", "parts": ("canary",)}


def told(data: AnyEventData) -> tuple[str, str, dict[str, Any]]:
    """The line about an outcome: level, words, and the values that are not empty."""
    event = new_event(data, subject=ANA, source="test")
    with capture_logs() as lines:
        tell(event, Appended(3, 7))
    [line] = lines
    assert (line.pop("id"), line.pop("type"), line.pop("position")) == (event.id, event.type, 7)
    assert "canary" not in str(line)
    return line.pop("log_level"), line.pop("event"), {name: value for name, value in line.items() if value is not None}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (ReplyGenerated(**GENERATED), ("info", "reply.generated", {})),
        (
            ReplyGenerated(**GENERATED, model="openai:x", input_tokens=3, output_tokens=4, closes=True),
            ("info", "reply.generated", {"model": "openai:x", "tokens": 7, "then": "closes"}),
        ),
        (ReplyGenerated(**GENERATED, hands_off=True), ("info", "reply.generated", {"then": "hands off"})),
        (MessageSent(reply="r1", part=0, attempt="a1", sid="SM1"), ("info", "reply.sent", {})),
        (MessageSent(reply="r1", part=1, attempt="a1", sid="SM1"), ("info", "reply.sent", {"part": 2})),
        (
            SendRejected(reply="r1", part=0, code=63016, reason=Rejection.WINDOW_CLOSED),
            ("warning", "reply.not_sent", {"reason": "window_closed", "code": 63016}),
        ),
        (
            SendUnconfirmed(reply="r1", part=0, attempt="a1"),
            ("warning", "reply.unconfirmed", {"remedy": "a person decides: prosa sends list"}),
        ),
        (SendStarted(reply="r1", part=0, attempt="a1"), ("debug", "event.appended", {})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_outcome_is_one_line_without_a_word_of_it(data: AnyEventData, line: tuple[str, str, dict[str, Any]]) -> None:
    assert told(data) == line


def state(status: Status, closed_by: ClosedBy | None = None, *covered: str) -> ThreadState:
    conversation = Conversation("c1", ANA, "default", status, 0, 0, closed_by=closed_by)
    covers = tuple(Unanswered(event, number, 0) for number, event in enumerate(covered))
    reply = Reply("r1", "e9", "c1", ReplyKind.ANSWER, ReplyStatus.SENT, 1, 0, (), covers)
    return ThreadState(ANA, "default", conversation, replies=(reply,))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, None),
        (ThreadState(ANA, "default"), None),
        (state(Status.ACTIVE), None),
        (state(Status.HANDOFF), "a person has the conversation"),
        (state(Status.HANDOFF, None, "e1"), None),
        (state(Status.CLOSED, ClosedBy.CONTACT), "the contact closed the conversation"),
        (state(Status.CLOSED, ClosedBy.PERSON), "a person closed the conversation"),
        (state(Status.CLOSED, ClosedBy.AI), None),
    ],
)
def test_a_silence_has_its_reason_unless_somebody_answered(found: ThreadState | None, reason: str | None) -> None:
    assert silence_of(found, "e1") == reason
    assert silence_of(found, None) is None


async def silence(world: World, responder: Responder, body: str) -> list[Any]:
    written = await world.write(ANA, body)
    with capture_logs() as lines:
        await responder.respond(written.delivered_to(RESPONDER))
    return [line["reason"] for line in lines if line["event"] == "message.not_answered"]


async def test_a_message_that_is_not_answered_on_purpose_says_why(world: World) -> None:
    responder = world.responder(Model())
    await world.append(PolicyChanged(close_words=("bye",)), partition_subject(partition_of_subject(ANA, PARTITIONS)))
    await world.write(ANA)
    await world.append(ConversationTaken(by="ana"), ANA)
    assert await silence(world, responder, "hello?") == ["a person has the conversation"]
    assert await silence(world, responder, "bye") == ["the contact closed the conversation"]
