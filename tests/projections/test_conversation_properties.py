"""What holds for every log, however unlikely: searched by Hypothesis over random ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.changes import RECENT_EVENTS
from projections.rows import dump_thread, load_thread
from projections.state import (
    ENDED,
    Change,
    Conversation,
    DeadLetter,
    Message,
    Part,
    PartStatus,
    Reply,
    ReplyKind,
    ReplyStatus,
)
from streams.events import (
    ConversationClosed,
    ConversationTaken,
    MessageReceived,
    MessageSent,
    RedriveRequested,
    ReplyGenerated,
    SendCancelled,
    SendDisproved,
    SendRejected,
    SendStarted,
)
from tests.projections.conversation_logs import Draw, Line, Log, ended, logs, policies, tick_at, told
from tests.projections.scenario import History, again, taken, with_known

WITHIN_MEMORY = RECENT_EVENTS - 4
"""A repeat is known for this many entries of a thread."""

WAYS_BACK = (ConversationTaken, ConversationClosed, MessageReceived, SendDisproved, SendCancelled, RedriveRequested)
"""What may let an answered message wait again: a withdrawal (by a close word too), a send that came to nothing, a redrive."""

STEPS = ("accepted", "scheduled", "queued", "sending", "sent", "canceled", "failed", "undelivered", "delivered", "read")

law = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# ------------------------------------------------------------------------------------------------------- duplication


@st.composite
def duplicated_logs(draw: Draw) -> tuple[Log, Log]:
    """A log, and the same with entries repeated anywhere later, as long as the thread can remember their ids."""
    log: Log = draw(logs())
    twice = list(log)
    for _ in range(draw(st.integers(1, WITHIN_MEMORY - len(log)))):
        original = draw(st.integers(0, len(twice) - 1))
        place = draw(st.integers(original + 1, len(twice)))
        twice.insert(place, replace(twice[original], at_ms=twice[place - 1].at_ms))
    return log, tuple(twice)


@law
@given(duplicated_logs())
def test_any_duplication_of_entries_folds_to_the_same_state(both: tuple[Log, Log]) -> None:
    """
    Everything is equal: state, partition, and every row as it stands in the end.

    Two things may differ and mean nothing: how often a row was written, and, until the next entry or tick, whether a deadline
    that the last entry made due has been applied yet; so both logs end with a tick.
    """
    once, twice = (told(ended(log)) for log in both)
    assert twice.state == once.state
    assert twice.partition == once.partition
    assert rows_of(twice) == rows_of(once)


@law
@given(logs(), st.data())
def test_a_fact_under_a_second_event_id_sends_nothing_and_answers_nothing_twice(log: Log, data: st.DataObject) -> None:
    """Of two processes that both append what they saw, the second changes no message, no reply and no count of inbound ones."""
    seen_twice = [
        index for index, line in enumerate(log) if isinstance(line.fact.data, MessageReceived | MessageSent | SendStarted)
    ]
    if not seen_twice:
        return
    index = data.draw(st.sampled_from(seen_twice))
    first = log[: index + 1]
    second = replace(log[index], fact=again(log[index].fact, "the second event"))
    once, twice = told(ended(first)), told(ended((*first, second)))
    assert twice.state.replies == once.state.replies
    assert twice.state.unanswered == once.state.unanswered
    assert twice.state.inbound_count == once.state.inbound_count
    assert rows_of(twice) == rows_of(once)


# ---------------------------------------------------------------------------------------------------------- batching


@law
@given(logs(), st.data())
def test_the_fold_does_not_depend_on_how_the_log_is_cut_into_batches(log: Log, data: st.DataObject) -> None:
    """Between batches a thread is stored and loaded; of its messages only those that the next batch speaks of are looked up."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(log)))))
    in_batches = History()
    for start, end in pairwise([0, *cuts, len(log)]):
        batch = log[start:end]
        in_batches = told(batch, replace(in_batches, state=_stored_and_loaded(in_batches, batch)))
    at_once = told(log)
    assert in_batches.state == at_once.state
    assert in_batches.rows == at_once.rows


def _stored_and_loaded(history: History, batch: Sequence[Line]) -> Any:
    sids = {sid for line in batch if (sid := getattr(line.fact.data, "sid", None))}
    known = {sid: message for sid, message in history.messages.items() if sid in sids}
    return with_known(load_thread(dump_thread(history.state)), known)


# ------------------------------------------------------------------------------------------------------------- time


@law
@given(logs(), st.lists(st.integers(0, 100), max_size=5))
def test_deadlines_applied_late_and_at_once_give_the_same_state(log: Log, moments: list[int]) -> None:
    """A tick at every deadline, just before and just after it, and at other times too, against none before the end."""
    eager = History()
    for line in log:
        for moment in (*_deadlines_until(line.at_ms, eager), *_between(eager.now_ms, line.at_ms, moments)):
            eager = told([tick_at(max(moment, eager.now_ms), f"tick {eager.entries}")], eager)
        eager = told([line], eager)
    last = ended(log)[-1:]
    eager, lazy = told(last, eager), told(ended(log))
    assert eager.state == lazy.state
    assert rows_of(eager) == rows_of(lazy)


def _deadlines_until(at_ms: int, history: History) -> Iterator[int]:
    """The append times around each deadline before an entry, as the deadlines come up."""
    while (conversation := history.state.open_conversation) and conversation.next_deadline_at_ms is not None:
        due_ms = max(conversation.next_deadline_at_ms - history.partition.offset_ms, history.now_ms)
        if due_ms > at_ms:
            break
        yield from (moment for moment in (due_ms - 1, due_ms, due_ms + 1) if history.now_ms <= moment <= at_ms)
        history = told([tick_at(due_ms, "a look ahead")], history)
        assert history.conversation != conversation, "a deadline passed and nothing changed"


def _between(start_ms: int, end_ms: int, moments: list[int]) -> list[int]:
    return [start_ms + (end_ms - start_ms) * moment // 100 for moment in sorted(moments)]


@law
@given(logs(least=0), st.booleans(), st.sampled_from([0, 1, 60_000, 3_600_000]), st.booleans(), st.data())
def test_a_change_of_policy_changes_nothing_in_the_past(
    log: Log, is_taken: bool, later_ms: int, is_overdue: bool, data: st.DataObject
) -> None:
    """
    Wherever a log is when its policy changes, everything stands as a mere tick would have left it.

    Every other log ends in a handoff, and every other change finds the next deadline behind it.
    """
    history = told(log)
    if is_taken:
        history = history.when(again(taken(), "the last take-over"))
    deadline_ms = history.state.conversation.next_deadline_at_ms if history.state.conversation else None
    if is_overdue and deadline_ms is not None:
        later_ms += max(0, deadline_ms - history.partition.log_time_ms)
    at_ms = history.now_ms + later_ms
    changed = told([Line(at_ms, again(policies(data.draw), "the change"))], history)
    ticked = told([tick_at(at_ms, "the change")], history)
    assert changed.state == ticked.state
    assert changed.rows == ticked.rows
    assert changed.partition.log_time_ms == ticked.partition.log_time_ms


@law
@given(logs())
def test_every_overdue_deadline_is_the_next_one_that_is_stored(log: Log) -> None:
    """So that whoever selects the due threads by it misses none."""
    for _, _, after in steps(log):
        conversation = after.state.conversation
        if conversation is None:
            continue
        later = told([tick_at(after.now_ms + 100 * 3_600_000, "much later")], after)
        if later.conversation != conversation:
            assert conversation.next_deadline_at_ms is not None
            before = conversation.next_deadline_at_ms - after.partition.offset_ms - 1
            if before >= after.now_ms:
                assert told([tick_at(before, "just before")], after).conversation == conversation


# ------------------------------------------------------------------------------------------------------------ answers


@law
@given(logs())
def test_each_accepted_answer_answers_further_than_the_one_before(log: Log) -> None:
    """Only a withdrawal, a send that came to nothing or a redrive lets a message wait again, and then it counts as unanswered."""
    answered = 0
    for before, line, after in steps(log):
        waiting = [message.number for message in after.state.unanswered]
        for reply in _accepted_by(before, line, after):
            numbers = [message.number for message in reply.covers]
            assert numbers == sorted(set(numbers))
            assert numbers[0] > answered
            answered = numbers[-1]
        if waiting and waiting[0] <= answered:
            assert isinstance(line.fact.data, WAYS_BACK), line
            answered = waiting[0] - 1


def _accepted_by(before: History, line: Line, after: History) -> list[Reply]:
    if not isinstance(line.fact.data, ReplyGenerated):
        return []
    known = {reply.id for reply in before.state.replies}
    accepted = [reply for reply in after.state.replies if reply.id not in known and reply.kind is ReplyKind.ANSWER]
    return [reply for reply in accepted if reply.status is ReplyStatus.ACCEPTED]


@law
@given(logs())
def test_what_waits_waits_in_order_and_in_an_open_conversation(log: Log) -> None:
    for _, _, after in steps(log):
        numbers = [message.number for message in after.state.unanswered]
        assert numbers == sorted(set(numbers))
        assert not numbers or after.status not in ENDED


@law
@given(logs())
def test_no_counted_message_is_lost(log: Log) -> None:
    """Each one waits, is covered by a reply that stands, is or was a dead letter, or somebody has released or closed over it."""
    for _, _, after in steps(log):
        standing = [reply for reply in rows_of(after)[Reply].values() if reply.status not in ("withdrawn", "superseded")]
        accounted = {message.event for reply in standing for message in reply.covers}
        accounted |= {*after.waiting, *(letter.event for letter in rows_of(after)[DeadLetter].values())}
        inbound = [message.event for message in after.messages.values() if message.direction == "inbound"]
        assert set(inbound[after.state.settled_inbound :]) <= accounted


# -------------------------------------------------------------------------------------------------------------- sends


@law
@given(logs())
def test_no_status_of_a_message_regresses(log: Log) -> None:
    history = told(log)
    seen: dict[str, int] = {}
    for row in history.rows:
        if isinstance(row, Message) and row.direction == "outbound":
            assert STEPS.index(row.status) >= seen.get(row.sid, 0)
            seen[row.sid] = STEPS.index(row.status)


@law
@given(logs())
def test_at_most_one_attempt_of_a_part_is_open_at_any_time(log: Log) -> None:
    for before, line, after in steps(log):
        for earlier, part in parts_of(before, after):
            assert sum(attempt.outcome is None for attempt in part.attempts) <= 1
            if len(part.attempts) > len(earlier.attempts):
                assert isinstance(line.fact.data, SendStarted)
                assert earlier.status is PartStatus.OPEN


@law
@given(logs())
def test_what_was_sent_becomes_unsent_by_a_reported_failure_only(log: Log) -> None:
    for before, line, after in steps(log):
        for earlier, part in parts_of(before, after):
            if earlier.status is PartStatus.SENT and part.status is not PartStatus.SENT:
                assert isinstance(line.fact.data, SendDisproved | SendCancelled | SendRejected)
                assert earlier.attempts[-1].failed_code is not None


@law
@given(logs())
def test_a_part_begins_after_all_parts_before_it_were_sent(log: Log) -> None:
    for before, _, after in steps(log):
        for reply in after.state.replies:
            old = before.state.reply(reply.id)
            for index, part in enumerate(reply.parts):
                if old and len(part.attempts) > len(old.parts[index].attempts):
                    assert all(each.status is PartStatus.SENT for each in reply.parts[:index])


@law
@given(logs())
def test_a_superseded_or_withdrawn_reply_is_never_begun(log: Log) -> None:
    for before, _, after in steps(log):
        for reply in before.state.replies:
            after_it = after.state.reply(reply.id)
            if after_it and reply.status in (ReplyStatus.SUPERSEDED, ReplyStatus.WITHDRAWN):
                assert [part.holder for part in after_it.parts] == [None] * len(reply.parts)


@law
@given(logs())
def test_an_ended_conversation_never_changes_again(log: Log) -> None:
    stood: dict[str, Conversation] = {}
    for row in told(log).rows:
        if isinstance(row, Conversation):
            assert stood.get(row.id, row) == row
            if row.status in ENDED:
                stood[row.id] = row


# ------------------------------------------------------------------------------------------------------ the generator


def test_the_random_logs_reach_what_the_laws_speak_of() -> None:
    """A law over logs in which nothing happens would hold for nothing."""
    reached: set[str] = set()

    @settings(law, max_examples=300)
    @given(logs())
    def look(log: Log) -> None:
        history = told(log)
        for row in history.rows:
            match row:
                case Conversation():
                    reached.add(f"conversation {row.status} {row.closed_by or ''}".strip())
                case Reply():
                    reached.update(
                        {f"reply {row.status}", f"{row.kind} {row.status}", *(f"part {part.status}" for part in row.parts)}
                    )
                case DeadLetter():
                    reached.add(f"letter {row.group} {row.status}")
                case Message():
                    reached.add(f"message {row.status}")

    look()
    wanted = {
        *(f"conversation {status}" for status in ("pending", "active", "idle", "handoff", "expired")),
        *(f"conversation closed {by}" for by in ("contact", "ai", "person", "failure")),
        *(f"reply {status}" for status in ReplyStatus),
        *(f"part {status}" for status in PartStatus),
        *(f"letter responder {status}" for status in ("open", "redriven")),
        *(f"letter sender {status}" for status in ("open", "redriven", "refused")),
        *(f"message {status}" for status in ("delivered", "undelivered", "failed", "read")),
        "failure_sentence sent",
        "person sent",
    }
    assert wanted - reached == set()


# --------------------------------------------------------------------------------------------------------------- kit


def steps(log: Log) -> Iterator[tuple[History, Line, History]]:
    """Every entry of a log, between the history before it and the one after it."""
    before = History()
    for line in log:
        after = told([line], before)
        yield before, line, after
        before = after


def rows_of(history: History) -> dict[type[Change], dict[Any, Any]]:
    """Every row as it stands in the end."""
    found: dict[type[Change], dict[Any, Any]] = {Conversation: {}, Message: {}, Reply: {}, DeadLetter: {}}
    for row in history.rows:
        match row:
            case Conversation() | Reply():
                found[type(row)][row.id] = row
            case Message():
                found[Message][row.sid] = row
            case DeadLetter():
                found[DeadLetter][row.group, row.event] = row
    return found


def parts_of(before: History, after: History) -> Iterator[tuple[Part, Part]]:
    """Each part of each reply as it was before an entry, and after it."""
    for reply in before.state.replies:
        then = after.state.reply(reply.id)
        yield from zip(reply.parts, then.parts if then else reply.parts, strict=True)
