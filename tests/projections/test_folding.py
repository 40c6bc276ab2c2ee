"""Batches, folded without a database: what the partition's own events show to its threads."""

from projections.entries import time_of_last_tick, timed, understand
from projections.folding import Fold, fold_batch
from projections.state import Status
from streams.envelope import encode
from streams.events import AfterHandoff
from streams.log import Record
from tests.projections.scenario import (
    STARTED_AT_MS,
    THREAD,
    Fact,
    History,
    event_of,
    given,
    policy,
    received,
    silence,
    taken,
    ticked,
)

OVERDUE = given(received("m1"), taken(), silence(hours=13))
CHANGE = policy(after_handoff=AfterHandoff.EXPIRED)


def batch_after(history: History, *facts: Fact) -> Fold:
    """Fold facts as one batch onto a thread that was stored."""
    fold = Fold(
        partitions={0: history.partition},
        chains={0: b""},
        threads={THREAD: history.state},
        partition_of_thread={THREAD: 0},
        known=dict(history.messages),
    )
    records = [
        Record(1, 0, position, history.now_ms, encode(event_of(fact, 1000 + position)))
        for position, fact in enumerate(facts, start=1)
    ]
    fold_batch(fold, timed([understand(record) for record in records], history.partition))
    assert fold.skipped == []
    return fold


def status_in(fold: Fold) -> Status:
    conversation = fold.threads[THREAD].conversation
    assert conversation is not None
    return conversation.status


def test_a_tick_is_shown_to_the_threads_that_are_due() -> None:
    assert status_in(batch_after(OVERDUE, ticked())) is Status.ACTIVE


def test_a_change_of_policy_is_shown_to_the_threads_that_are_due_before_it_holds() -> None:
    """A clock that was down for long comes back with other settings: what ran out meanwhile ran out under the old ones."""
    assert status_in(batch_after(OVERDUE, CHANGE, ticked())) is Status.ACTIVE


def test_a_change_of_policy_has_the_due_threads_loaded() -> None:
    record = Record(1, 0, 1, STARTED_AT_MS, encode(event_of(CHANGE, 1)))
    assert time_of_last_tick(timed([understand(record)], given().partition)) == STARTED_AT_MS
