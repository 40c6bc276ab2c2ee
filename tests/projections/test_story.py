"""What a batch changed is told: a line for each conversation, or one for many."""

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from projections.folding import Fold, Skipped
from projections.state import ClosedBy, Conversation, PartitionState, Status, ThreadState
from projections.story import MANY, Story
from streams.envelope import encode, new_event
from streams.events import ConversationTaken
from streams.log import Record
from telemetry import thread_hash

THREAD = "whatsapp:+14155238886|whatsapp:+5511999990000"


def tell(states: dict[str, ThreadState], partitions: dict[int, PartitionState], fold: Fold) -> None:
    story = Story()
    story.note(states, partitions, fold)
    story.tell()


def conversation(status: Status, number: int = 1, **values: Any) -> Conversation:
    return Conversation(f"c{number}", THREAD, "default", status, 0, 0, **values)


def told(before: Conversation | None, after: Conversation | None) -> list[str]:
    """What is told of one thread, whose conversation became another."""
    states = {THREAD: ThreadState(THREAD, "default", before)}
    return [line["event"] for line in lines_of(states, {THREAD: ThreadState(THREAD, "default", after)})]


def lines_of(states: dict[str, ThreadState], folded: dict[str, ThreadState], *skipped: Skipped) -> list[Any]:
    partitions = {3: PartitionState()}
    fold = Fold(dict(partitions), {}, folded, dict.fromkeys(folded, 3), {}, touched=set(folded), skipped=list(skipped))
    with capture_logs() as lines:
        tell(states, partitions, fold)
    return lines


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, conversation(Status.PENDING), ["conversation.opened"]),
        (conversation(Status.EXPIRED), conversation(Status.PENDING, 2), ["conversation.opened"]),
        (None, conversation(Status.CLOSED, closed_by=ClosedBy.CONTACT), ["conversation.opened", "conversation.closed"]),
        (conversation(Status.ACTIVE), conversation(Status.IDLE), ["conversation.idle"]),
        (conversation(Status.IDLE), conversation(Status.EXPIRED), ["conversation.expired"]),
        (conversation(Status.ACTIVE), conversation(Status.HANDOFF), ["conversation.in_handoff"]),
        (conversation(Status.HANDOFF), conversation(Status.ACTIVE), ["conversation.released"]),
        (conversation(Status.HANDOFF), conversation(Status.CLOSED, closed_by=ClosedBy.PERSON), ["conversation.closed"]),
        (conversation(Status.PENDING), conversation(Status.ACTIVE), []),
        (conversation(Status.IDLE), conversation(Status.IDLE), []),
        (conversation(Status.CLOSED), conversation(Status.CLOSED), []),
        (None, None, []),
    ],
)
def test_a_change_of_a_conversation_is_one_line(
    before: Conversation | None, after: Conversation | None, lines: list[str]
) -> None:
    assert told(before, after) == lines


def test_a_line_names_the_thread_without_the_address() -> None:
    [line] = lines_of({}, {THREAD: ThreadState(THREAD, "default", conversation(Status.PENDING))})
    assert line["thread_hash"] == thread_hash(THREAD)
    assert line["partition"] == 3
    assert "5511" not in str(line)


def test_many_changes_of_one_kind_are_one_line() -> None:
    idle = ThreadState(THREAD, "default", conversation(Status.IDLE))
    states = {f"{THREAD}{number}": replace(idle, conversation=conversation(Status.ACTIVE)) for number in range(MANY + 1)}
    [line] = lines_of(states, dict.fromkeys(states, idle))
    assert (line["event"], line["count"]) == ("conversations.idle", MANY + 1)


@pytest.mark.parametrize(("minutes", "shown"), [(20, "20m"), (25 * 60, "25h")])
def test_time_that_was_let_pass_is_told_once_for_all_partitions(minutes: int, shown: str) -> None:
    before, after = PartitionState(offset_ms=1), PartitionState(offset_ms=1 + minutes * 60_000)
    with capture_logs() as lines:
        for partition in range(3):
            tell({}, {partition: before}, Fold({partition: after}, {}, {}, {}, {}))
            tell({}, {partition: after}, Fold({partition: after}, {}, {}, {}, {}))
    assert [(line["event"], line["by"]) for line in lines] == [("clock.advanced", shown)]


def test_poison_is_told_with_all_that_is_known_of_it() -> None:
    event = new_event(ConversationTaken(by="ana"), subject=THREAD, source="test")
    unreadable = Skipped(Record(1, 3, 9, 0, b"nothing"), "", "UndecodableEvent")
    poison = Skipped(Record(1, 3, 10, 0, encode(event)), THREAD, "KeyError")
    first, second = lines_of({}, {}, unreadable, poison)
    assert (first["partition"], first["position"], first["error"]) == (3, 9, "UndecodableEvent")
    assert (second["event_id"], second["correlation_id"]) == (event.id, event.correlation_id)
    assert second["thread_hash"] == thread_hash(THREAD)


def test_what_was_folded_in_several_parts_is_told_as_one() -> None:
    story, idle, active = Story(), conversation(Status.IDLE), conversation(Status.ACTIVE)
    for number in range(MANY + 1):
        thread = f"{THREAD}{number}"
        before, after = (ThreadState(thread, "default", each) for each in (active, idle))
        story.note({thread: before}, {}, Fold({}, {}, {thread: after}, {thread: 3}, {}, touched={thread}))
    with capture_logs() as lines:
        story.tell()
    assert [(line["event"], line["count"]) for line in lines] == [("conversations.idle", MANY + 1)]
