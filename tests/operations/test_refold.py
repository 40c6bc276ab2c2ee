"""The story of a thread ends where its read model stands, though no tick was read for it."""

from collections.abc import Callable, Iterator

import pytest

from operations.refold import SILENCE, Archived, Refold, Step
from projections.conversation import evolve
from projections.entries import timed, understand
from projections.rows import dump_thread
from projections.state import PartitionState, ThreadState
from streams.events import (
    ClockAdvanced,
    ClockTicked,
    ConversationTaken,
    Event,
    MessageSent,
    PersonReplied,
    PolicyChanged,
    ReplyGenerated,
)
from streams.log import Record
from streams.partitions import partition_of
from tests.projections.random_log import THREADS, random_log
from tests.projections.read_model import HOUR_MS, MINUTE_MS, PARTITIONS, Expected, Log, thread_in

THREAD = thread_in(0)
OTHER = thread_in(0, 1)


def archive(records: list[Record], partition: int) -> Iterator[Archived]:
    """A partition as the archive has it."""
    of_partition = [understand(record) for record in records if record.partition == partition]
    for each in timed(of_partition, PartitionState()):
        if each.entry.event:
            yield Archived(each.entry.event, each.entry.record.appended_at_ms, each.partition.log_time_ms)


def refolded(log: Log, thread: str = THREAD) -> Refold:
    """As the timeline reads it: the thread's events and what steers the partition, then the last that moved time."""
    everything = list(archive(log.records, partition_of(thread, PARTITIONS)))
    told = Refold(ThreadState(thread, "default"))
    told.take(each for each in everything if each.event.subject == thread or _steers(each))
    moved = [each.log_time_ms for each in everything if _steers(each) or isinstance(each.event.data, ClockTicked)]
    told.pass_silence(moved[-1] if moved else 0)
    return told


def _steers(entry: Archived) -> bool:
    return isinstance(entry.event.data, ClockAdvanced | PolicyChanged)


def last(log: Log) -> Step:
    return refolded(log).steps[-1]


@pytest.mark.parametrize("seed", range(60))
def test_a_story_without_ticks_ends_in_the_same_state(seed: int) -> None:
    log = random_log(seed, steps=120)
    expected = Expected().fold(log.records).threads
    for thread in THREADS:
        state = refolded(log, thread).state
        assert dump_thread(state) == dump_thread(expected.get(thread, ThreadState(thread, "default"))), thread


def test_each_event_says_what_it_changed() -> None:
    log = Log()
    asked = log.receive(THREAD, "SM1")
    log.add(ReplyGenerated(reply="r1", first_event=asked, last_event=asked, parts=("Hello.", "How are you?")), THREAD)
    log.start_send(THREAD, "r1", "a1")
    log.add(MessageSent(reply="r1", part=0, attempt="a1", sid="SO1"), THREAD)
    log.status(THREAD, "SO1", "delivered", "a1")
    steps = refolded(log).steps
    assert [step.name for step in steps] == [
        "message.received",
        "reply.generated",
        "send.started",
        "message.sent",
        "message.status_changed",
    ]
    received, generated, started, sent, delivered = (step.changes for step in steps)
    assert received[:2] == ("opened conversation", "status pending")
    assert received[-1] == "1 unanswered"
    assert generated == ("nothing unanswered", "reply accepted")
    assert started == ("part 1 started",)
    assert sent[0] == "status pending → active"
    assert sent[-1] == "part 1 sent"
    assert delivered == ("message delivered",)


def test_what_was_folded_already_changes_nothing() -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    log.receive(THREAD, "SM1")
    assert last(log).changes == ()


def test_silence_is_told_at_its_deadline_and_not_when_a_tick_showed_it() -> None:
    log = Log()
    log.add(PersonReplied(reply="r1", parts=("Hi.",), by="ana"), THREAD)
    log.receive(THREAD, "SM1")
    said_at_ms = log.now_ms
    log.wait(47 * HOUR_MS)
    log.tick(0)
    assert refolded(log).steps[-1].name == "message.received"
    log.wait(5 * HOUR_MS)
    log.tick(0)
    step = last(log)
    assert (step.name, step.event_id, step.at_ms) == (SILENCE, "", said_at_ms + 48 * HOUR_MS)
    assert step.changes[0] == "status pending → expired"
    assert "dead letter of the responder open: conversation.expired" in step.changes


def test_a_silence_that_a_message_ended_is_a_step_of_its_own() -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    log.wait(49 * HOUR_MS)
    log.receive(THREAD, "SM2")
    steps = refolded(log).steps
    assert [step.name for step in steps] == ["message.received", SILENCE, "message.received"]
    assert steps[-1].changes[0] == "opened conversation, linked to the one before"


def test_no_silence_is_told_before_the_log_has_shown_it() -> None:
    """Events of other threads move the log's clock, but only what moves time is shown to the silent ones."""
    log = Log()
    log.receive(THREAD, "SM1")
    log.wait(49 * HOUR_MS)
    log.receive(OTHER, "SM2")
    assert last(log).name == "message.received"


def test_an_advance_of_the_clock_is_told_with_what_it_made_due() -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    log.add_to_partition(ClockAdvanced(offset_ms=50 * HOUR_MS), 0)
    step = last(log)
    assert (step.name, step.appended_at_ms, step.at_ms) == ("clock.advanced", log.now_ms, log.now_ms + 50 * HOUR_MS)
    assert step.changes[:2] == ("clock 2 d 2 h ahead", "status pending → expired")


def test_a_policy_is_told_only_where_it_changed_the_thread() -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    log.add_to_partition(PolicyChanged(idle_after_minutes=1), 0)
    assert last(log).name == "message.received"


def test_a_person_who_takes_over_is_named_with_what_was_withdrawn() -> None:
    log = Log()
    asked = log.receive(THREAD, "SM1")
    log.add(ReplyGenerated(reply="r1", first_event=asked, last_event=asked, parts=("Hello.",)), THREAD)
    log.wait(MINUTE_MS)
    log.add(ConversationTaken(by="ana"), THREAD)
    changes = last(log).changes
    assert changes[:2] == ("status pending → handoff", "taken by ana")
    assert changes[-2:] == ("1 unanswered", "reply withdrawn")


def failing(name: str) -> Callable[[ThreadState, Event, PartitionState], ThreadState]:
    """A fold that such an event is too much for; its message might tell anything."""

    def evolve_or_fail(state: ThreadState, event: Event, partition: PartitionState) -> ThreadState:
        if event.data.name == name:
            raise ValueError("Olá")
        return evolve(state, event, partition)

    return evolve_or_fail


@pytest.mark.parametrize(("ill", "told"), [(ConversationTaken.name, ConversationTaken.name), (ClockTicked.name, SILENCE)])
def test_a_story_stops_where_it_cannot_be_folded_and_says_so(monkeypatch: pytest.MonkeyPatch, ill: str, told: str) -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    if ill == ConversationTaken.name:
        log.add(ConversationTaken(by="ana"), THREAD)
    log.wait(49 * HOUR_MS)
    log.receive(THREAD, "SM2")
    monkeypatch.setattr("operations.refold.evolve", failing(ill))
    story = refolded(log)
    assert [step.name for step in story.steps] == ["message.received", told]
    assert story.steps[-1].changes == ("cannot be folded: ValueError",)
    story.pass_silence(log.now_ms + 100 * HOUR_MS)
    assert len(story.steps) == 2
