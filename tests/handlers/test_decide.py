"""What a thread needs next, told as a log: given these facts, the sender or the responder is to do this."""

import pytest

from handlers.decide import (
    ConfirmSend,
    JudgeFailure,
    RefuseSend,
    SendStep,
    SettleSend,
    StartSend,
    next_send,
    stuck_send,
    to_answer,
)
from projections.changes import SENDER
from projections.state import PartStatus
from streams.events import Rejection
from tests.projections.scenario import (
    Fact,
    History,
    advanced,
    answered,
    cancelled,
    closed,
    dead_lettered,
    delivered_to_twilio,
    disproved,
    event_id_of,
    failed,
    generated,
    given,
    person_replied,
    received,
    redriven,
    redriven_reply,
    rejected,
    released,
    sent,
    silence,
    started,
    status,
    taken,
    ticked,
    unconfirmed,
)

ANSWERED = given(received("m1"), generated("r1", "m1"))
IN_TWO_PARTS = given(received("m1"), generated("r1", "m1", parts=("one", "two")))
TWO_REPLIES = ANSWERED.when(received("m2"), generated("r2", "m2"))


def step(history: History) -> SendStep | None:
    return next_send(history.state, history.partition.log_time_ms)


def waiting(history: History, event: str | None = None) -> list[str]:
    return [message.event for message in to_answer(history.state, event)]


def place(found: SendStep | None) -> tuple[str, int]:
    assert found is not None
    return found.reply.id, found.part


# ------------------------------------------------------------------------------------------------------- answering


def test_all_that_waits_is_answered_together() -> None:
    assert waiting(given(received("m1"), received("m2")), "m1") == ["m1", "m2"]


def test_a_repeated_sid_asks_for_nothing() -> None:
    history = given(received("m1", sid="SM1"), received("m1 again", sid="SM1"))
    assert waiting(history, "m1 again") == []
    assert waiting(history, "m1") == ["m1"]


def test_a_message_that_another_answer_covers_asks_for_nothing() -> None:
    history = given(received("m1"), received("m2"), generated("r1", "m1", "m2"), received("m3"))
    assert waiting(history, "m2") == []
    assert waiting(history, None) == ["m3"]


def test_the_ai_is_silent_in_handoff_and_answers_again_after_it() -> None:
    handoff = given(received("m1"), taken(), received("m2"))
    assert waiting(handoff, "m2") == waiting(handoff) == []
    assert waiting(handoff.when(released(), received("m3"))) == ["m3"]


def test_what_waited_in_a_handoff_that_ran_out_is_to_be_answered() -> None:
    history = given(received("m1"), taken(), received("m2"), silence(hours=13), ticked())
    assert waiting(history) == ["m1", "m2"]


def test_a_conversation_that_ended_waits_for_nothing() -> None:
    assert waiting(given(received("m1"), closed())) == []
    assert waiting(given(received("m1"), silence(hours=49), ticked())) == []


def test_a_dead_letter_waits_again_once_it_is_redriven() -> None:
    history = given(received("m1"), failed("f1", "m1", sentence=None))
    assert waiting(history, "m1") == []
    assert waiting(history.when(redriven("m1")), "m1") == ["m1"]


def test_a_thread_that_nobody_has_seen_needs_nothing() -> None:
    assert to_answer(None, None) == ()
    assert next_send(None, 0) is None
    assert step(given(received("m1"))) is None


# --------------------------------------------------------------------------------------------------------- sending


def test_parts_go_one_after_the_other() -> None:
    assert isinstance(step(IN_TWO_PARTS), StartSend)
    assert place(step(IN_TWO_PARTS)) == ("r1", 0)
    first = IN_TWO_PARTS.when(*delivered_to_twilio("r1", "a1"))
    assert place(step(first)) == ("r1", 1)
    assert step(first.when(*delivered_to_twilio("r1", "a2", 1))) is None


def test_replies_go_in_the_order_of_the_log() -> None:
    assert place(step(TWO_REPLIES)) == ("r1", 0)
    assert place(step(TWO_REPLIES.when(*delivered_to_twilio("r1", "a1")))) == ("r2", 0)


def test_a_reply_that_was_superseded_withdrawn_or_answered_needs_nothing() -> None:
    assert step(given(received("m1"), received("m2"), generated("r1", "m1"))) is None
    assert step(ANSWERED.when(taken())) is None
    assert step(given(received("m1"), *answered("r1", "m1"))) is None


def test_a_started_part_is_settled_before_anything_is_begun() -> None:
    found = step(ANSWERED.when(started("r1", "a1")))
    assert isinstance(found, SettleSend)
    assert found.attempt.id == "a1"


@pytest.mark.parametrize("gave_up", [disproved("r1", "a1"), cancelled("r1", "a1")])
def test_a_part_whose_attempt_came_to_nothing_is_begun_anew(gave_up: Fact) -> None:
    found = step(ANSWERED.when(started("r1", "a1"), gave_up))
    assert isinstance(found, StartSend)


def test_a_callback_settles_what_nobody_knew() -> None:
    found = step(ANSWERED.when(started("r1", "a1"), status("a1", "delivered", sid="SM7")))
    assert isinstance(found, ConfirmSend)
    assert (found.attempt.id, found.sid) == ("a1", "SM7")


def test_a_callback_settles_what_was_left_to_a_person() -> None:
    history = ANSWERED.when(started("r1", "a1"), unconfirmed("r1", "a1"))
    assert step(history) is None
    assert isinstance(step(history.when(status("a1", "sent"))), ConfirmSend)


def test_a_callback_beats_a_disproof_that_was_believed_too_soon() -> None:
    history = ANSWERED.when(started("r1", "a1"), disproved("r1", "a1"), status("a1", "sent"))
    found = step(history)
    assert isinstance(found, ConfirmSend)
    assert found.attempt.id == "a1"
    assert step(history.when(sent("r1", "a1"))) is None


def test_a_callback_beats_a_disproof_even_when_another_attempt_is_open() -> None:
    found = step(ANSWERED.when(started("r1", "a1"), disproved("r1", "a1"), started("r1", "a2"), status("a1", "sent")))
    assert isinstance(found, ConfirmSend)
    assert found.attempt.id == "a1"


def test_a_callback_tells_even_of_a_reply_that_was_withdrawn_meanwhile() -> None:
    history = ANSWERED.when(started("r1", "a1"), taken(), disproved("r1", "a1"), status("a1", "sent"))
    assert isinstance(step(history), ConfirmSend)


def test_a_failure_that_is_reported_later_is_judged() -> None:
    found = step(ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "undelivered", code=63018)))
    assert isinstance(found, JudgeFailure)
    assert (found.code, found.failures, found.is_too_late) == (63018, 1, False)


def test_a_failure_without_a_code_is_judged_as_such() -> None:
    found = step(ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "failed")))
    assert isinstance(found, JudgeFailure)
    assert found.code is None


def test_a_failure_that_was_reported_before_our_own_record_is_judged_after_it() -> None:
    history = ANSWERED.when(started("r1", "a1"), status("a1", "undelivered", code=63018))
    assert isinstance(step(history), ConfirmSend)
    assert isinstance(step(history.when(sent("r1", "a1"))), JudgeFailure)


def test_a_judged_failure_is_not_taken_for_proof() -> None:
    failure = ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "undelivered", code=63018))
    again = failure.when(disproved("r1", "a1", code=63018))
    assert isinstance(step(again), StartSend)
    twice = step(again.when(*delivered_to_twilio("r1", "a2"), status("a2", "undelivered", code=63018)))
    assert isinstance(twice, JudgeFailure)
    assert (twice.attempt.id, twice.failures) == ("a2", 2)


def test_a_message_that_was_seen_to_arrive_has_not_failed() -> None:
    history = ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "undelivered", code=63018), status("a1", "delivered"))
    assert step(history) is None


@pytest.mark.parametrize("judged", [disproved("r1", "a1", code=63018), rejected("r1", "a1", code=63018)])
def test_what_arrives_after_it_was_given_up_counts_as_sent(judged: Fact) -> None:
    failure = ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "undelivered", code=63018))
    history = failure.when(judged, status("a1", "delivered"))
    assert isinstance(step(history), ConfirmSend)
    confirmed = history.when(sent("r1", "a1"))
    assert step(confirmed) is None
    assert confirmed.parts("r1") == (PartStatus.SENT,)


def test_a_failure_of_one_attempt_is_no_loss_where_another_arrived() -> None:
    both = ANSWERED.when(started("r1", "a1"), disproved("r1", "a1"), *delivered_to_twilio("r1", "a2"), status("a1", "delivered"))
    assert step(both.when(status("a2", "undelivered", code=63018))) is None


def test_a_failure_is_too_late_to_mend_once_something_after_it_went_out() -> None:
    lost = status("a1", "undelivered", code=63018)
    next_part = step(IN_TWO_PARTS.when(*delivered_to_twilio("r1", "a1"), *delivered_to_twilio("r1", "a2", 1), lost))
    next_reply = step(TWO_REPLIES.when(*delivered_to_twilio("r1", "a1"), *delivered_to_twilio("r2", "a2"), lost))
    for found in (next_part, next_reply):
        assert isinstance(found, JudgeFailure)
        assert found.is_too_late


def test_a_closed_window_is_known_before_anybody_is_called() -> None:
    history = ANSWERED.when(silence(hours=24), ticked())
    found = step(history)
    assert isinstance(found, RefuseSend)
    assert (found.reason, found.code) == (Rejection.WINDOW_CLOSED, 63016)
    assert isinstance(step(history.when(received("m2"))), StartSend)


def test_the_window_closes_by_log_time_with_the_development_offset() -> None:
    assert isinstance(step(ANSWERED.when(advanced(minutes=24 * 60))), RefuseSend)
    assert isinstance(step(ANSWERED.when(advanced(minutes=24 * 60 - 1))), StartSend)


def test_an_open_attempt_is_settled_even_after_the_window_has_closed() -> None:
    assert isinstance(step(ANSWERED.when(started("r1", "a1"), silence(hours=24), ticked())), SettleSend)


def test_nothing_is_sent_after_a_newer_reply() -> None:
    unsure = TWO_REPLIES.when(started("r1", "a1"), unconfirmed("r1", "a1"), *delivered_to_twilio("r2", "a2"))
    assert step(unsure) is None
    found = step(unsure.when(disproved("r1", "a1")))
    assert isinstance(found, RefuseSend)
    assert found.reason is Rejection.SUPERSEDED


def test_a_newer_reply_in_doubt_is_settled_before_an_older_one_is_sent_again() -> None:
    history = TWO_REPLIES.when(started("r1", "a1"), rejected("r1", "a1"), started("r2", "a2"), redriven_reply("r1"))
    found = step(history)
    assert isinstance(found, SettleSend)
    assert found.reply.id == "r2"


def test_a_redriven_reply_is_sent_again_even_if_its_later_parts_went_out() -> None:
    lost = IN_TWO_PARTS.when(*delivered_to_twilio("r1", "a1"), *delivered_to_twilio("r1", "a2", 1))
    history = lost.when(status("a1", "undelivered", code=63018), rejected("r1", "a1"), redriven_reply("r1"))
    assert isinstance(step(history), StartSend)
    assert place(step(history)) == ("r1", 0)


def test_a_persons_reply_waits_for_what_is_on_its_way() -> None:
    history = IN_TWO_PARTS.when(*delivered_to_twilio("r1", "a1"), person_replied("p1"))
    assert place(step(history)) == ("r1", 1)
    assert place(step(history.when(*delivered_to_twilio("r1", "a2", 1)))) == ("p1", 0)


def test_the_reply_at_the_head_is_what_holds_a_thread_up() -> None:
    assert stuck_send(TWO_REPLIES.state, TWO_REPLIES.partition.log_time_ms) == event_id_of("r1")
    given_up = TWO_REPLIES.when(dead_lettered(event_id_of("r1"), SENDER))
    assert stuck_send(given_up.state, given_up.partition.log_time_ms) == event_id_of("r2")
    lost = ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "failed"))
    assert stuck_send(lost.state, lost.partition.log_time_ms) == event_id_of("r1")
    assert stuck_send(None, 0) is None


def test_what_callbacks_told_of_a_reply_that_was_given_up_is_left_alone_until_it_is_redriven() -> None:
    lost = ANSWERED.when(*delivered_to_twilio("r1", "a1"), status("a1", "failed", code=63018))
    given_up = lost.when(dead_lettered(event_id_of("r1"), SENDER))
    assert step(given_up) is None
    assert isinstance(step(given_up.when(redriven_reply("r1"))), JudgeFailure)
    unsure = ANSWERED.when(started("r1", "a1"), dead_lettered(event_id_of("r1"), SENDER), status("a1", "delivered"))
    assert isinstance(step(unsure), ConfirmSend)
