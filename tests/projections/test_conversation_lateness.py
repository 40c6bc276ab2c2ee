"""What the reconciler found counts from when the log hears of it, and WhatsApp's window from when it was written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handlers.decide import RefuseSend, StartSend, next_send
from projections.lateness import RECONCILER
from projections.policy import WINDOW_MS
from projections.state import ClosedBy, Status
from streams.events import Rejection
from tests.projections.scenario import (
    History,
    advanced,
    answered,
    event_of,
    fold,
    generated,
    given,
    policy,
    received,
    silence,
)

HOUR_MS = 3_600_000
ACTIVE = given(received("m1"), *answered("r1", "m1"))


def reconciled(
    history: History, name: str, body: str = "Olá", *, sid: str | None = None, late: timedelta, source: str = RECONCILER
) -> History:
    """The history after the reconciler appended a message that Twilio took this long before."""
    told = datetime.fromtimestamp(history.now_ms / 1000, UTC) - late
    event = event_of(received(name, body, sid=sid), history.entries).model_copy(update={"source": source, "time": told})
    state, partition = fold(history.state, history.partition, event, history.now_ms)
    rows = (*history.rows, *state.changes)
    return replace(history, state=replace(state, changes=()), partition=partition, entries=history.entries + 1, rows=rows)


# ------------------------------------------------------------------------------------------------------------ the window


def test_the_window_of_a_late_message_closes_a_day_after_it_was_written() -> None:
    then = reconciled(given(), "m1", late=timedelta(hours=3))
    assert then.state.window_closes_at_ms == then.now_ms + WINDOW_MS - 3 * HOUR_MS


def test_a_late_message_is_answered_while_the_window_is_open() -> None:
    then = reconciled(given(), "m1", late=timedelta(hours=23)).when(generated("r1", "m1"))
    assert isinstance(next_send(then.state, then.partition.log_time_ms), StartSend)


def test_what_is_older_than_the_window_counts_and_its_answer_is_refused_without_a_call() -> None:
    then = reconciled(given(), "m1", late=timedelta(hours=25))
    assert then.waiting == ("m1",)
    step = next_send(then.when(generated("r1", "m1")).state, then.partition.log_time_ms)
    assert isinstance(step, RefuseSend)
    assert step.reason is Rejection.WINDOW_CLOSED


def test_a_late_message_never_shortens_a_window_that_a_newer_one_opened() -> None:
    then = reconciled(ACTIVE, "m2", late=timedelta(hours=20))
    assert then.state.window_closes_at_ms == ACTIVE.state.window_closes_at_ms


def test_a_clock_of_twilios_that_is_ahead_opens_no_longer_window() -> None:
    then = reconciled(given(), "m1", late=timedelta(minutes=-5))
    assert then.state.window_closes_at_ms == then.now_ms + WINDOW_MS


def test_a_late_message_is_as_late_by_the_advanced_clock() -> None:
    then = reconciled(given(advanced(minutes=600)), "m1", late=timedelta(hours=1))
    assert then.state.window_closes_at_ms == then.partition.log_time_ms + WINDOW_MS - HOUR_MS


@pytest.mark.parametrize("slow", [timedelta(hours=5), timedelta(hours=-5)])
def test_the_wall_clock_of_a_webhook_moves_no_window(slow: timedelta) -> None:
    """Only Twilio's own date counts, and only the reconciler tells it."""
    then = reconciled(given(), "m1", late=slow, source="prosa/webhook")
    assert then.state.window_closes_at_ms == then.now_ms + WINDOW_MS


# --------------------------------------------------------------------------------------------------- everything else: now


def test_a_late_message_is_activity_when_the_log_hears_of_it() -> None:
    """Else it would be idle or expired before anybody could answer it."""
    then = reconciled(ACTIVE.when(silence(minutes=20)), "m2", late=timedelta(minutes=18))
    assert then.status is Status.ACTIVE
    assert then.conversation.last_activity_at_ms == then.now_ms
    assert then.messages["SM-m2"].at_ms == then.now_ms
    assert then.waiting == ("m2",)


@pytest.mark.parametrize("late_first", [True, False])
def test_a_message_that_the_webhook_brings_too_counts_once(late_first: bool) -> None:
    if late_first:
        then = reconciled(given(), "late", sid="SM1", late=timedelta(minutes=5)).when(received("hook", sid="SM1"))
    else:
        then = reconciled(given(received("hook", sid="SM1")), "late", sid="SM1", late=timedelta(minutes=5))
    assert then.waiting == (("late",) if late_first else ("hook",))
    assert then.state.inbound_count == 1


# ------------------------------------------------------------------------------------------------------------- close words


WORDS = policy(close_words=("bye",))


def test_a_late_goodbye_closes_what_was_silent_since() -> None:
    then = reconciled(
        given(WORDS, received("m1"), *answered("r1", "m1"), silence(minutes=5)), "m2", "bye", late=timedelta(minutes=1)
    )
    assert then.status is Status.CLOSED
    assert then.conversation.closed_by is ClosedBy.CONTACT


def test_a_late_goodbye_does_not_close_what_went_on_after_it() -> None:
    """The contact wrote on meanwhile; the goodbye is a message like others."""
    went_on = given(WORDS, received("m1"), *answered("r1", "m1"), silence(minutes=30), received("m2"), *answered("r2", "m2"))
    then = reconciled(went_on.when(silence(minutes=5)), "m3", "bye", late=timedelta(minutes=20))
    assert then.status is Status.ACTIVE
    assert then.waiting == ("m3",)


def test_a_late_goodbye_alone_opens_and_closes() -> None:
    then = reconciled(given(WORDS), "m1", "bye", late=timedelta(hours=2))
    assert then.conversation.closed_by is ClosedBy.CONTACT
