"""Attempts that are counted, events that are given up, and those that a person sends round again."""

from dataclasses import replace

from projections.changes import DEAD_LETTERS, RESPONDER, SENDER, SETTLED_REPLIES
from projections.dead_letters import attempts_of
from projections.state import EventAttempts, PartStatus, ReplyKind, ReplyStatus, Status
from tests.projections.scenario import (
    History,
    answered,
    attempt_failed,
    attempt_paused,
    attempt_started,
    closed,
    dead_lettered,
    delivered_to_twilio,
    discarded,
    disproved,
    event_id_of,
    failed,
    generated,
    given,
    numbers,
    person_replied,
    received,
    redriven,
    redriven_reply,
    rejected,
    sent,
    silence,
    started,
    taken,
    ticked,
    unconfirmed,
    window_closed,
)

OPEN, STARTED, SENT = PartStatus.OPEN, PartStatus.STARTED, PartStatus.SENT
REJECTED, UNCONFIRMED, CANCELLED = PartStatus.REJECTED, PartStatus.UNCONFIRMED, PartStatus.CANCELLED

ONE = given(received("m1"))
ACCEPTED = ONE.when(generated("r1", "m1", parts=("a", "b")))
REPLY = event_id_of("r1")
REJECTED_REPLY = ACCEPTED.when(started("r1", "a1"), window_closed("r1", "a1"))


def open_letters(history: History) -> list[tuple[str, str]]:
    return [(letter.group, letter.event) for letter in history.state.dead_letters]


# --------------------------------------------------------------------------------------------------------- attempts


def test_failed_attempts_are_counted_per_event_and_group() -> None:
    then = ONE.when(attempt_failed("m1"), attempt_failed("m1"), attempt_failed("m1", SENDER), attempt_failed("m2"))
    assert attempts_of(then.state, "m1", RESPONDER).failed == 2
    assert attempts_of(then.state, "m1", SENDER).failed == 1
    assert attempts_of(then.state, "m2", RESPONDER).failed == 1
    assert attempts_of(then.state, "m3", RESPONDER).failed == 0


def test_a_part_that_went_out_forgets_the_failures_before_it() -> None:
    tried = ACCEPTED.when(*[attempt_failed(REPLY, SENDER)] * 3, attempt_failed("m1"))
    then = tried.when(*delivered_to_twilio("r1", "a1"))
    assert attempts_of(tried.state, REPLY, SENDER).failed == 3
    assert attempts_of(then.state, REPLY, SENDER).failed == 0
    assert attempts_of(then.state, "m1", RESPONDER).failed == 1


def test_starts_alone_are_counted_apart() -> None:
    then = ONE.when(attempt_started("m1"), attempt_failed("m1"), attempt_started("m1"))
    counted = attempts_of(then.state, "m1", RESPONDER)
    assert (counted.failed, counted.started_alone) == (1, 2)


def test_the_last_start_alone_can_be_taken_back_and_those_before_it_count() -> None:
    ended = ONE.when(attempt_started("m1"), attempt_started("m1"))
    paused = ended.when(attempt_paused("m1"))
    assert attempts_of(paused.state, "m1", RESPONDER) == EventAttempts("m1", RESPONDER, started_alone=1)
    assert paused.when(attempt_paused("m1"), attempt_paused("m2")).state.attempts[0] == paused.state.attempts[0]
    again = paused.when(attempt_started("m1"))
    assert attempts_of(again.state, "m1", RESPONDER) == EventAttempts("m1", RESPONDER, started_alone=2, is_alone=True)


def test_counting_changes_nothing_else() -> None:
    then = ONE.when(silence(minutes=1), attempt_failed("m1"), attempt_started("m1"))
    assert then.rows == ONE.rows
    assert then.waiting == ("m1",)


# ------------------------------------------------------------------------------------------------- the responder's


def test_a_message_that_the_responder_gave_up_no_longer_waits() -> None:
    then = ONE.when(received("m2"), dead_lettered("m1"))
    assert then.waiting == ("m2",)
    letter = then.letters[RESPONDER, "m1"]
    assert (letter.error, letter.attempts, letter.fingerprint, letter.conversation_id) == ("ValueError", 5, "f2", "m1")
    assert then.status is Status.PENDING


def test_what_was_given_up_holds_idleness_up_no_longer() -> None:
    active = ONE.when(*answered("r1", "m1"), received("m2"), dead_lettered("m2"))
    assert active.when(silence(minutes=15), ticked()).status is Status.IDLE


def test_a_message_that_was_given_up_is_not_given_up_again_at_the_expiry() -> None:
    then = ONE.when(dead_lettered("m1"), silence(hours=48), ticked())
    assert then.letters[RESPONDER, "m1"].error == "ValueError"


def test_an_event_that_nobody_waits_for_is_recorded_all_the_same() -> None:
    then = ONE.when(generated("r1", "m1"), dead_lettered("m1"), dead_lettered("something else"))
    assert open_letters(then) == [(RESPONDER, "m1"), (RESPONDER, "something else")]
    assert then.reply("r1").status is ReplyStatus.ACCEPTED


def test_a_redriven_message_waits_again_in_its_old_place() -> None:
    then = ONE.when(dead_lettered("m1"), received("m2"), redriven("m1"))
    assert then.waiting == ("m1", "m2")
    assert open_letters(then) == []
    assert then.letters[RESPONDER, "m1"].status == "redriven"
    assert numbers(then.when(generated("r1", "m1", "m2")).reply("r1").covers) == (1, 2)


def test_a_message_that_two_responders_gave_up_can_still_be_redriven() -> None:
    then = ONE.when(dead_lettered("m1"), dead_lettered("m1"), redriven("m1"))
    assert then.waiting == ("m1",)


def test_a_message_that_failed_can_be_redriven() -> None:
    then = ONE.when(failed("f1", "m1"), redriven("m1"), generated("r1", "m1"))
    assert then.reply("r1").status is ReplyStatus.ACCEPTED


def test_a_redrive_on_a_finished_conversation_opens_a_linked_one() -> None:
    for ended in (ONE.when(dead_lettered("m1"), closed()), ONE.when(silence(hours=48), ticked())):
        then = ended.when(redriven("m1"))
        assert then.status is Status.PENDING
        assert then.conversation.id != "m1"
        assert then.conversation.previous_conversation_id == "m1"
        assert then.waiting == ("m1",)
        assert then.conversations["m1"] == ended.conversation


def test_a_redrive_overrules_a_persons_close() -> None:
    then = ONE.when(dead_lettered("m1"), closed(), redriven("m1"), generated("r1", "m1"))
    assert then.reply("r1").status is ReplyStatus.ACCEPTED


def test_a_redrive_in_a_handoff_waits_for_the_person() -> None:
    then = ONE.when(dead_lettered("m1"), taken(), redriven("m1"))
    assert then.waiting == ("m1",)
    assert then.status is Status.HANDOFF


def test_a_redrive_of_something_that_is_no_dead_letter_changes_nothing() -> None:
    assert ONE.when(redriven("m1"), redriven("m9"), redriven_reply("r9")).rows == ONE.rows


def test_a_dead_letter_is_redriven_once() -> None:
    then = ONE.when(dead_lettered("m1"), redriven("m1"), generated("r1", "m1"), redriven("m1"))
    assert then.waiting == ()


def test_a_redriven_message_that_fails_again_is_a_dead_letter_again() -> None:
    then = ONE.when(dead_lettered("m1"), redriven("m1"), dead_lettered("m1"))
    assert open_letters(then) == [(RESPONDER, "m1")]
    assert then.when(redriven("m1")).waiting == ("m1",)


def test_of_many_dead_letters_the_newest_can_be_redriven_and_the_oldest_says_that_it_cannot() -> None:
    history = given()
    for number in range(DEAD_LETTERS + 1):
        history = history.when(received(f"m{number}"), dead_lettered(f"m{number}"))
    assert len(history.state.dead_letters) == DEAD_LETTERS
    assert [letter.status for letter in history.letters.values()] == ["forgotten", *["open"] * DEAD_LETTERS]
    assert history.when(redriven("m0")).waiting == ()
    assert history.when(redriven("m1")).waiting == ("m1",)


def test_a_redriven_message_has_all_its_attempts_again() -> None:
    tried = ONE.when(*[attempt_failed("m1")] * 3, attempt_started("m1"), attempt_failed("m1", SENDER), dead_lettered("m1"))
    counted = attempts_of(tried.when(redriven("m1")).state, "m1", RESPONDER)
    assert (counted.failed, counted.started_alone) == (0, 0)
    assert attempts_of(tried.when(redriven("m1")).state, "m1", SENDER).failed == 1
    assert attempts_of(tried.when(redriven("m9")).state, "m1", RESPONDER).failed == 3


def test_a_dead_letter_that_a_person_discarded_is_open_no_more_and_changes_nothing_else() -> None:
    dead = ONE.when(dead_lettered("m1"))
    then = dead.when(discarded("m1"))
    assert then.letters[RESPONDER, "m1"].status == "discarded"
    assert open_letters(then) == []
    assert (then.waiting, then.conversation) == (dead.waiting, dead.conversation)
    assert then.when(redriven("m1")).waiting == ()


def test_only_what_is_open_can_be_discarded() -> None:
    redriven_once = ONE.when(dead_lettered("m1"), redriven("m1"))
    assert redriven_once.when(discarded("m1"), discarded("m9")).rows == redriven_once.rows


def test_what_was_discarded_and_fails_again_is_a_dead_letter_again() -> None:
    then = ONE.when(dead_lettered("m1"), discarded("m1"), dead_lettered("m1"))
    assert open_letters(then) == [(RESPONDER, "m1")]


# ------------------------------------------------------------------------------------------ failed, and not given up


def test_what_is_not_given_up_goes_on_waiting_and_the_contact_is_told() -> None:
    then = ONE.when(failed("f1", "m1", gives_up=False))
    assert (then.waiting, open_letters(then)) == (("m1",), [])
    assert (then.reply("f1").kind, then.reply("f1").status) == (ReplyKind.FAILURE_SENTENCE, ReplyStatus.ACCEPTED)
    answered_after = then.when(generated("r1", "m1"))
    assert answered_after.reply("r1").status is ReplyStatus.ACCEPTED
    assert answered_after.waiting == ()


def test_what_was_not_given_up_at_first_may_be_later_and_the_contact_is_told_once() -> None:
    then = ONE.when(failed("f1", "m1", gives_up=False), failed("f2", "m1"))
    assert (then.waiting, open_letters(then)) == ((), [(RESPONDER, "m1")])
    assert [reply.id for reply in then.state.replies] == ["f1"]


# ---------------------------------------------------------------------------------------------------- the sender's


def test_what_the_sender_gave_up_before_it_began_is_not_sent() -> None:
    then = ACCEPTED.when(dead_lettered(REPLY, SENDER))
    assert then.parts("r1") == (CANCELLED, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.FAILED
    assert then.when(started("r1", "a1")).part("r1").holder is None


def test_what_the_sender_gave_up_in_the_middle_of_a_call_is_unconfirmed() -> None:
    then = ACCEPTED.when(started("r1", "a1"), dead_lettered(REPLY, SENDER))
    assert then.parts("r1") == (UNCONFIRMED, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.UNCONFIRMED
    assert then.when(sent("r1", "a1")).parts("r1") == (SENT, CANCELLED)


def test_of_a_reply_that_is_sent_only_what_callbacks_tell_can_be_given_up() -> None:
    whole = ONE.when(*answered("r1", "m1"))
    given_up = whole.when(dead_lettered(REPLY, SENDER))
    assert given_up.reply("r1") == replace(whole.reply("r1"), is_left_alone=True)
    assert given_up.when(redriven_reply("r1")).reply("r1") == whole.reply("r1")


def test_a_redriven_reply_is_sent_from_where_it_stopped() -> None:
    half = ACCEPTED.when(*delivered_to_twilio("r1", "a1"), started("r1", "a2", 1), rejected("r1", "a2", 1), redriven_reply("r1"))
    assert half.parts("r1") == (SENT, OPEN)
    assert half.reply("r1").status is ReplyStatus.ACCEPTED
    assert open_letters(half) == []
    assert half.when(*delivered_to_twilio("r1", "a3", 1)).reply("r1").status is ReplyStatus.SENT


def test_a_redriven_reply_brings_its_later_parts_back() -> None:
    then = REJECTED_REPLY.when(redriven_reply("r1"))
    assert then.parts("r1") == (OPEN, OPEN)


def test_a_redriven_reply_that_nobody_could_tell_about_is_settled_before_it_is_sent() -> None:
    unsure = ACCEPTED.when(started("r1", "a1"), dead_lettered(REPLY, SENDER))
    then = unsure.when(redriven_reply("r1"))
    assert then.parts("r1") == (STARTED, OPEN)
    assert then.reply("r1").status is ReplyStatus.ACCEPTED
    assert then.part("r1").holder == unsure.part("r1").attempts[-1]
    assert then.when(started("r1", "a2")).part("r1").holder == then.part("r1").holder
    assert then.when(disproved("r1", "a1"), *delivered_to_twilio("r1", "a2")).parts("r1") == (SENT, OPEN)
    again_unsure = then.when(unconfirmed("r1", "a1"))
    assert again_unsure.reply("r1").status is ReplyStatus.UNCONFIRMED


def test_a_reply_that_was_declared_unconfirmed_and_given_up_is_settled_again_too() -> None:
    unsure = ACCEPTED.when(*delivered_to_twilio("r1", "a1"), started("r1", "a2", 1), dead_lettered(REPLY, SENDER))
    again = unsure.when(redriven_reply("r1"), unconfirmed("r1", "a2", 1), dead_lettered(REPLY, SENDER), redriven_reply("r1"))
    assert again.parts("r1") == (SENT, STARTED)
    assert [attempt.outcome for attempt in again.part("r1", 1).attempts] == [None]


def test_a_redrive_is_refused_if_a_newer_reply_went_out() -> None:
    newer = REJECTED_REPLY.when(received("m2"), *answered("r2", "m2"))
    then = newer.when(redriven_reply("r1"))
    assert then.parts("r1") == (REJECTED, CANCELLED)
    assert then.letters[SENDER, REPLY].status == "refused"
    assert open_letters(then) == []


def test_a_persons_newer_message_refuses_a_redrive_too() -> None:
    newer = REJECTED_REPLY.when(person_replied("p2"), *delivered_to_twilio("p2", "b2"))
    assert newer.when(redriven_reply("r1")).letters[SENDER, REPLY].status == "refused"


def test_a_newer_reply_that_did_not_go_out_refuses_nothing() -> None:
    newer = REJECTED_REPLY.when(received("m2"), generated("r2", "m2"))
    assert newer.when(redriven_reply("r1")).reply("r1").status is ReplyStatus.ACCEPTED


def test_a_reply_of_a_finished_conversation_can_be_redriven_without_opening_one() -> None:
    then = REJECTED_REPLY.when(closed(), redriven_reply("r1"), *delivered_to_twilio("r1", "a9"))
    assert then.parts("r1") == (SENT, OPEN)
    assert then.status is Status.CLOSED
    assert len(then.conversations) == 1


def test_a_reply_that_was_cut_is_whole_again_when_a_person_redrives_it() -> None:
    cut = ACCEPTED.when(started("r1", "a1"), taken(), rejected("r1", "a1"), redriven_reply("r1"))
    assert cut.parts("r1") == (OPEN, OPEN)
    assert not cut.reply("r1").is_cut


def test_a_reply_that_can_be_redriven_is_never_forgotten() -> None:
    history = REJECTED_REPLY
    for number in range(2, SETTLED_REPLIES + 5):
        history = history.when(received(f"m{number}"), generated(f"r{number}", f"m{number}"), taken(), silence(hours=12))
        history = history.when(
            person_replied(f"p{number}"), started(f"p{number}", f"b{number}"), rejected(f"p{number}", f"b{number}")
        )
    assert history.state.reply("r1") is not None


def test_a_reply_that_a_person_is_to_settle_is_not_forgotten() -> None:
    history = ACCEPTED.when(started("r1", "a1"), unconfirmed("r1", "a1"))
    for number in range(2, SETTLED_REPLIES + 5):
        history = history.when(received(f"m{number}"), *answered(f"r{number}", f"m{number}"))
    assert history.when(sent("r1", "a1")).parts("r1") == (SENT, OPEN)


def test_of_the_finished_replies_the_newest_are_kept_and_the_unfinished_all() -> None:
    history = ONE.when(person_replied("unfinished"))
    for number in range(2, SETTLED_REPLIES + 5):
        history = history.when(received(f"m{number}"), *answered(f"r{number}", f"m{number}"))
    kept = [reply.id for reply in history.state.replies]
    assert kept == ["unfinished", *(f"r{number}" for number in range(5, SETTLED_REPLIES + 5))]
