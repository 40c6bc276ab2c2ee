"""Who may call Twilio for which part, and what came of it."""

import pytest

from projections.parts import proven_attempt
from projections.sends import ATTEMPTS_KEPT, next_part
from projections.state import Outcome, PartStatus, ReplyStatus, Status
from streams.events import Rejection
from tests.projections.scenario import (
    Fact,
    History,
    again,
    by_a_handler,
    cancelled,
    dead_lettered,
    delivered_to_twilio,
    disproved,
    event_id_of,
    generated,
    given,
    received,
    redriven_reply,
    rejected,
    released,
    sent,
    silence,
    started,
    status,
    taken,
    unconfirmed,
    window_closed,
)

OPEN, STARTED, SENT = PartStatus.OPEN, PartStatus.STARTED, PartStatus.SENT
REJECTED, UNCONFIRMED, CANCELLED = PartStatus.REJECTED, PartStatus.UNCONFIRMED, PartStatus.CANCELLED

ACCEPTED = given(received("m1"), generated("r1", "m1", parts=("a", "b")))
HELD = ACCEPTED.when(started("r1", "a1"))
FIRST_SENT = HELD.when(sent("r1", "a1"))
WHOLE = FIRST_SENT.when(*delivered_to_twilio("r1", "a2", 1))


def outcomes(history: History, part: int = 0) -> list[tuple[str, Outcome | None]]:
    return [(attempt.id, attempt.outcome) for attempt in history.part("r1", part).attempts]


# -------------------------------------------------------------------------------------------------------- the grant


def test_the_first_open_attempt_in_log_order_is_granted() -> None:
    then = ACCEPTED.when(started("r1", "a1"), started("r1", "a2"))
    holder = then.part("r1").holder
    assert holder is not None
    assert holder.id == "a1"
    assert outcomes(then) == [("a1", None)]


def test_a_second_attempt_is_not_granted_while_the_first_has_no_outcome() -> None:
    assert outcomes(HELD.when(silence(hours=5), started("r1", "a2"))) == [("a1", None)]


def test_parts_are_granted_in_their_order() -> None:
    assert ACCEPTED.when(started("r1", "a1", 1)).parts("r1") == (OPEN, OPEN)
    assert HELD.when(started("r1", "a2", 1)).parts("r1") == (STARTED, OPEN)
    assert FIRST_SENT.when(started("r1", "a2", 1)).parts("r1") == (SENT, STARTED)


@pytest.mark.parametrize("part", [-1, 2, 99])
def test_a_part_that_does_not_exist_is_not_granted(part: int) -> None:
    assert ACCEPTED.when(started("r1", "a1", part)).reply("r1") == ACCEPTED.reply("r1")


def test_nothing_is_granted_for_an_unknown_reply() -> None:
    assert ACCEPTED.when(started("r9", "a1")).state.replies == ACCEPTED.state.replies


def test_an_attempt_is_granted_once() -> None:
    then = HELD.when(disproved("r1", "a1"), again(started("r1", "a1"), "x"))
    assert then.part("r1").holder is None


def test_nothing_is_granted_for_a_reply_that_is_sent() -> None:
    assert WHOLE.when(started("r1", "a3", 1)).parts("r1") == (SENT, SENT)


# ----------------------------------------------------------------------------------------------------- the outcomes


def test_a_sent_part_has_its_message() -> None:
    message = FIRST_SENT.messages["SM-a1"]
    assert (message.direction, message.status, message.body) == ("outbound", "queued", "a")
    assert (message.reply_id, message.part, message.attempt, message.conversation_id) == ("r1", 0, "a1", "m1")
    assert outcomes(FIRST_SENT) == [("a1", Outcome.SENT)]


def test_every_part_has_a_sid_of_its_own() -> None:
    assert [(sid, message.part) for sid, message in WHOLE.messages.items() if message.reply_id] == [("SM-a1", 0), ("SM-a2", 1)]


@pytest.mark.parametrize(
    ("unsent", "outcome"),
    [(disproved("r1", "a1"), Outcome.DISPROVED), (cancelled("r1", "a1"), Outcome.CANCELLED)],
    ids=["disproved", "cancelled"],
)
def test_an_attempt_of_which_nothing_came_opens_the_part_to_another(unsent: Fact, outcome: Outcome) -> None:
    then = HELD.when(unsent, started("r1", "a2"))
    assert outcomes(then) == [("a1", outcome), ("a2", None)]
    assert then.parts("r1") == (STARTED, OPEN)


def test_an_outcome_of_somebody_who_does_not_hold_the_part_changes_nothing() -> None:
    for stranger in (disproved("r1", "a9"), cancelled("r1", "a9"), unconfirmed("r1", "a9"), rejected("r1", "a9")):
        assert HELD.when(stranger).reply("r1") == HELD.reply("r1")
    held_by_second = HELD.when(disproved("r1", "a1"), started("r1", "a2"))
    for late in (disproved("r1", "a1"), cancelled("r1", "a1"), unconfirmed("r1", "a1"), rejected("r1", "a1")):
        assert held_by_second.when(late).reply("r1") == held_by_second.reply("r1")


def test_a_rejected_part_fails_the_reply_and_cancels_the_rest() -> None:
    then = HELD.when(rejected("r1", "a1", code=21211, reason=Rejection.LIMIT))
    assert then.parts("r1") == (REJECTED, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.FAILED
    assert outcomes(then) == [("a1", Outcome.REJECTED)]


def test_a_rejected_part_is_a_dead_letter_of_the_sender() -> None:
    then = HELD.when(rejected("r1", "a1", code=63038, reason=Rejection.LIMIT))
    letter = then.letters["sender", event_id_of("r1")]
    assert (letter.error, letter.attempts, letter.conversation_id) == ("send.rejected limit 63038", 1, "m1")
    assert then.waiting == ()


def test_a_part_may_be_rejected_without_any_call() -> None:
    then = ACCEPTED.when(window_closed("r1", None))
    assert then.parts("r1") == (REJECTED, CANCELLED)
    assert then.part("r1").attempts == ()


def test_a_part_in_somebodys_hands_is_not_rejected_without_its_attempt() -> None:
    assert HELD.when(window_closed("r1", None)).reply("r1") == HELD.reply("r1")


def test_an_unconfirmed_part_holds_the_rest_back_for_a_person() -> None:
    then = HELD.when(unconfirmed("r1", "a1"))
    assert then.parts("r1") == (UNCONFIRMED, OPEN)
    assert then.reply("r1").status is ReplyStatus.UNCONFIRMED
    assert next_part(then.reply("r1")) is None
    assert then.when(started("r1", "a2"), started("r1", "a3", 1)).reply("r1") == then.reply("r1")


def test_a_person_who_finds_that_it_was_sent_lets_the_rest_go_on() -> None:
    then = HELD.when(unconfirmed("r1", "a1"), sent("r1", "a1"))
    assert then.parts("r1") == (SENT, OPEN)
    assert then.reply("r1").status is ReplyStatus.ACCEPTED


def test_a_person_who_finds_that_it_was_not_sent_lets_it_be_tried_again() -> None:
    then = HELD.when(unconfirmed("r1", "a1"), disproved("r1", "a1"), *delivered_to_twilio("r1", "a2"))
    assert then.parts("r1") == (SENT, OPEN)


@pytest.mark.parametrize(
    "late",
    [by_a_handler(cancelled("r1", "a1")), by_a_handler(disproved("r1", "a1", code=20429)), by_a_handler(rejected("r1", "a1"))],
    ids=["cancelled", "disproved", "rejected"],
)
def test_what_was_told_unconfirmed_stays_so_whatever_its_holder_tells_when_it_wakes_up(late: Fact) -> None:
    """A person may have acted on it by then: nothing is sent by itself, and nothing else is said to have become of it."""
    unsure = HELD.when(unconfirmed("r1", "a1"), received("m2"), generated("r2", "m2"), *delivered_to_twilio("r2", "a2"))
    then = unsure.when(late)
    assert then.reply("r1") == unsure.reply("r1")
    assert then.letters == {}
    assert then.when(sent("r1", "a1")).parts("r1") == (SENT, OPEN)
    assert then.when(rejected("r1", "a1")).parts("r1") == (REJECTED, CANCELLED)


def test_whoever_holds_a_part_again_after_a_redrive_may_tell_that_nothing_came_of_it() -> None:
    unsure = HELD.when(unconfirmed("r1", "a1"), dead_lettered(event_id_of("r1"), "sender"))
    again_held = unsure.when(redriven_reply("r1"), by_a_handler(cancelled("r1", "a1")))
    assert again_held.parts("r1") == (OPEN, OPEN)


LATE = [by_a_handler(disproved("r1", "a1")), by_a_handler(cancelled("r1", "a1"))]
RESENT = HELD.when(unconfirmed("r1", "a1"), LATE[0], *map(by_a_handler, delivered_to_twilio("r1", "a2")))
"""A log of an earlier version, to which a holder that woke up late opened the part again: it was sent by the next attempt."""


@pytest.mark.parametrize("late", LATE, ids=["disproved", "cancelled"])
def test_nobody_is_asked_about_a_part_that_an_earlier_fold_had_sent_by_an_attempt_which_this_one_never_granted(
    late: Fact,
) -> None:
    then = HELD.when(unconfirmed("r1", "a1"), late, *map(by_a_handler, delivered_to_twilio("r1", "a2")))
    assert then.parts("r1") == (SENT, OPEN)
    assert outcomes(then) == [("a1", Outcome.UNCONFIRMED), ("a2", Outcome.SENT)]
    assert then.reply("r1").status is ReplyStatus.ACCEPTED
    whole = then.when(*map(by_a_handler, delivered_to_twilio("r1", "a3", 1)))
    assert whole.reply("r1").status is ReplyStatus.SENT


def test_what_an_attempt_that_was_never_granted_sent_stays_sent_until_its_failure_is_told() -> None:
    """Also against a person's word of the attempt that was in doubt, and a second word of the same send."""
    for told in (disproved("r1", "a1"), rejected("r1", "a1"), again(sent("r1", "a2"), "second sender")):
        assert RESENT.when(told).reply("r1") == RESENT.reply("r1")
    failed = RESENT.when(status("a2", "failed", code=63018))
    assert failed.when(disproved("r1", "a2", code=63018)).parts("r1") == (OPEN, OPEN)
    told_before = HELD.when(unconfirmed("r1", "a1"), status("a2", "failed", code=63018), sent("r1", "a2"))
    assert told_before.part("r1").attempts[-1].failed_code == 63018


@pytest.mark.parametrize("reply", ["superseded", "withdrawn"])
def test_a_send_by_nobody_we_know_makes_no_reply_speak_that_must_not(reply: str) -> None:
    before = (
        given(received("m1"), generated("r1", "m1", parts=("a", "b"))).when(taken())
        if reply == "withdrawn"
        else given(received("m1"), received("m2"), generated("r1", "m1", parts=("a", "b")))
    )
    assert before.reply("r1").status == reply
    assert before.when(sent("r1", "a9")).reply("r1") == before.reply("r1")


# ------------------------------------------------------------------------------------------------------- late proof


@pytest.mark.parametrize("believed", [disproved("r1", "a1"), cancelled("r1", "a1"), rejected("r1", "a1")])
def test_what_was_sent_is_never_unhappened_whatever_was_believed(believed: Fact) -> None:
    then = HELD.when(believed, sent("r1", "a1"))
    assert then.part("r1").status is SENT
    assert outcomes(then) == [("a1", Outcome.SENT)]


def test_late_proof_of_an_attempt_takes_the_part_from_the_next_one() -> None:
    then = HELD.when(disproved("r1", "a1"), started("r1", "a2"), sent("r1", "a1"))
    assert then.parts("r1") == (SENT, OPEN)
    assert then.when(disproved("r1", "a2")).parts("r1") == (SENT, OPEN)


def test_a_send_by_nobody_we_know_is_noted_as_a_message_only() -> None:
    then = ACCEPTED.when(sent("r1", "a9"))
    assert then.parts("r1") == (OPEN, OPEN)
    assert then.messages["SM-a9"].reply_id == "r1"


def test_a_callback_proves_its_attempt() -> None:
    then = HELD.when(status("a1", "sent"))
    holder = then.part("r1").holder
    assert holder is not None
    assert holder.proof_sid == "SM-a1"
    assert then.parts("r1") == (STARTED, OPEN)


def test_the_first_proof_stands() -> None:
    then = HELD.when(status("a1", "sent"), status("a1", "sent", sid="SM-other"))
    assert then.part("r1").attempts[0].proof_sid == "SM-a1"


# -------------------------------------------------------------------------------- failures that are reported later


def test_a_failure_by_callback_is_noted_on_the_attempt_and_changes_no_part() -> None:
    then = WHOLE.when(status("a2", "undelivered", code=63016))
    assert then.part("r1", 1).attempts[0].failed_code == 63016
    assert then.reply("r1").status is ReplyStatus.SENT


def test_a_reported_failure_may_be_rejected() -> None:
    then = WHOLE.when(status("a2", "undelivered", code=63016), window_closed("r1", "a2", 1))
    assert then.parts("r1") == (SENT, REJECTED)
    assert then.reply("r1").status is ReplyStatus.FAILED
    assert ("sender", event_id_of("r1")) in then.letters


def test_a_reported_failure_may_be_tried_again() -> None:
    then = WHOLE.when(status("a2", "failed", code=63018), disproved("r1", "a2", 1, code=63018))
    assert then.parts("r1") == (SENT, OPEN)
    assert then.reply("r1").status is ReplyStatus.ACCEPTED
    assert then.when(*delivered_to_twilio("r1", "a3", 1)).reply("r1").status is ReplyStatus.SENT


@pytest.mark.parametrize(
    "undone", [disproved("r1", "a2", 1), cancelled("r1", "a2", 1), rejected("r1", "a2", 1), unconfirmed("r1", "a2", 1)]
)
def test_without_a_reported_failure_what_was_sent_stays_sent(undone: Fact) -> None:
    assert WHOLE.when(undone).reply("r1") == WHOLE.reply("r1")


@pytest.mark.parametrize("carries_attempt", [True, False])
def test_a_failure_that_is_told_before_the_send_counts_as_one_told_after_it(carries_attempt: bool) -> None:
    failure = status("a1" if carries_attempt else None, "undelivered", code=63016, sid="SM-a1")
    told_before = HELD.when(failure, sent("r1", "a1"))
    told_after = HELD.when(sent("r1", "a1"), failure)
    assert told_before.part("r1").attempts[0].failed_code == told_after.part("r1").attempts[0].failed_code == 63016


def test_a_failure_without_a_code_is_a_failure() -> None:
    assert WHOLE.when(status("a2", "failed")).part("r1", 1).attempts[0].failed_code == 0


def test_what_was_seen_to_arrive_has_not_failed_in_either_order() -> None:
    failure, arrival = status("a2", "failed", code=63018), status("a2", "delivered")
    for callbacks in ((failure, arrival), (arrival, failure)):
        then = WHOLE.when(*callbacks)
        assert then.part("r1", 1).attempts[0].failed_code is None
        assert then.when(disproved("r1", "a2", 1)).parts("r1") == (SENT, SENT)


def test_a_send_that_is_noted_twice_stays_open_to_its_retry() -> None:
    retried = WHOLE.when(status("a2", "failed", code=63018), disproved("r1", "a2", 1))
    then = retried.when(again(sent("r1", "a2", 1), "second sender"))
    assert then.parts("r1") == (SENT, OPEN)


def test_a_failure_reported_on_an_earlier_attempt_does_not_undo_a_later_one() -> None:
    retried = HELD.when(disproved("r1", "a1"), *delivered_to_twilio("r1", "a2"))
    then = retried.when(status("a1", "failed", code=63018), disproved("r1", "a1"))
    assert then.parts("r1") == (SENT, OPEN)


# -------------------------------------------------------------------------------------------------------- the effects


def test_an_ais_hand_off_takes_effect_once() -> None:
    handed_off = given(received("m1"), generated("r1", "m1", hands_off=True), *delivered_to_twilio("r1", "a1"), released())
    then = handed_off.when(status("a1", "undelivered", code=63016), window_closed("r1", "a1"))
    assert then.reply("r1").status is ReplyStatus.FAILED
    assert then.status is Status.ACTIVE


def test_a_hand_off_that_lapsed_does_not_come_back_with_a_late_failure() -> None:
    lapsed = given(received("m1"), generated("r1", "m1", hands_off=True), received("m2"), *delivered_to_twilio("r1", "a1"))
    then = lapsed.when(generated("r2", "m2"), status("a1", "undelivered", code=63016), window_closed("r1", "a1"))
    assert then.status is Status.ACTIVE


@pytest.mark.parametrize(
    "outcome",
    [rejected("r1", "a1"), unconfirmed("r1", "a1"), dead_lettered(event_id_of("r1"), "sender")],
    ids=["rejected", "unconfirmed", "dead-lettered"],
)
def test_an_ais_hand_off_takes_effect_whatever_became_of_its_last_part(outcome: Fact) -> None:
    begun = given(received("m1"), generated("r1", "m1", hands_off=True), started("r1", "a1"))
    assert begun.when(outcome).status is Status.HANDOFF


def test_what_the_ai_decided_before_a_person_took_over_does_not_outlast_the_handoff() -> None:
    begun = given(received("m1"), generated("r1", "m1", closes=True), started("r1", "a1"))
    assert begun.when(taken(), released(), sent("r1", "a1")).status is Status.ACTIVE


def test_every_attempt_of_the_longest_outage_is_remembered_and_a_callback_of_the_first_still_proves_it() -> None:
    history = ACCEPTED
    for number in range(ATTEMPTS_KEPT):
        history = history.when(started("r1", f"a{number}"), disproved("r1", f"a{number}"))
    told = history.when(status("a0", "delivered"))
    proven = proven_attempt(told.part("r1"))
    assert proven is not None
    assert proven.id == "a0"
    forgotten = history.when(started("r1", "next"))
    assert [attempt.id for attempt in forgotten.part("r1").attempts][:: ATTEMPTS_KEPT - 1] == ["a1", "next"]


def test_a_proof_that_came_before_the_start_keeps_the_next_attempt_from_being_granted() -> None:
    """Whoever starts it had looked before: a message that was believed absent was sent after all."""
    then = HELD.when(disproved("r1", "a1"), status("a1", "sent"), started("r1", "a2"))
    assert then.part("r1").holder is None
    assert outcomes(then) == [("a1", Outcome.DISPROVED)]


def test_a_failure_that_was_judged_keeps_no_attempt_from_being_granted() -> None:
    lost = FIRST_SENT.when(status("a1", "failed", code=63003), disproved("r1", "a1"), started("r1", "a2"))
    assert outcomes(lost)[-1] == ("a2", None)
