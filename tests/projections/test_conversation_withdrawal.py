"""Who takes over or closes takes back what the AI has not begun to say; what was begun is settled, and the rest cancelled."""

import pytest

from projections.state import PartStatus, ReplyStatus, Status
from tests.projections.scenario import (
    Fact,
    cancelled,
    closed,
    delivered_to_twilio,
    disproved,
    failed,
    generated,
    given,
    numbers,
    person_replied,
    policy,
    received,
    redriven,
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

OPEN, STARTED, SENT, CANCELLED = PartStatus.OPEN, PartStatus.STARTED, PartStatus.SENT, PartStatus.CANCELLED

ACCEPTED = given(policy(close_words=("tchau",)), received("m1"), generated("r1", "m1", parts=("a", "b")))
BEGUN = ACCEPTED.when(started("r1", "a1"))
HALF_SENT = ACCEPTED.when(*delivered_to_twilio("r1", "a1"))
SECOND_BEGUN = HALF_SENT.when(started("r1", "a2", 1))

INTERRUPTIONS = {"taken over": taken(), "closed by a person": closed(), "close word": received("bye", "tchau")}
any_interruption = pytest.mark.parametrize("interruption", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
any_close = pytest.mark.parametrize("close", [closed(), received("bye", "tchau")], ids=["person", "close word"])


@any_interruption
def test_a_reply_of_which_nothing_was_started_is_withdrawn(interruption: Fact) -> None:
    then = ACCEPTED.when(interruption)
    assert then.reply("r1").status is ReplyStatus.WITHDRAWN
    assert then.when(started("r1", "a1")).parts("r1") == (OPEN, OPEN)


def test_after_a_take_over_the_messages_of_a_withdrawn_reply_wait_again_in_their_order() -> None:
    then = ACCEPTED.when(received("m2"), taken())
    assert then.waiting == ("m1", "m2")


@any_close
def test_after_a_close_nothing_waits(close: Fact) -> None:
    then = ACCEPTED.when(received("m2"), close)
    assert then.waiting == ()
    assert not then.letters


def test_a_withdrawn_failure_sentence_leaves_nothing_waiting() -> None:
    then = given(received("m1"), failed("f1", "m1"), taken())
    assert then.reply("f1").status is ReplyStatus.WITHDRAWN
    assert then.waiting == ()


@any_interruption
def test_a_started_part_stays_to_be_settled_and_the_later_ones_are_cancelled(interruption: Fact) -> None:
    then = BEGUN.when(interruption)
    assert then.parts("r1") == (STARTED, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.ACCEPTED
    assert then.waiting == ()


@any_interruption
def test_a_started_part_that_turns_out_sent_is_sent(interruption: Fact) -> None:
    then = BEGUN.when(interruption, sent("r1", "a1"))
    assert then.parts("r1") == (SENT, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.CANCELLED
    assert then.waiting == ()


@any_interruption
def test_what_is_sent_stays_sent_and_the_rest_is_cancelled(interruption: Fact) -> None:
    then = HALF_SENT.when(interruption)
    assert then.parts("r1") == (SENT, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.CANCELLED
    assert then.when(started("r1", "a9", 1)).parts("r1") == (SENT, CANCELLED)


@any_interruption
@pytest.mark.parametrize("unsent", [disproved("r1", "a1"), cancelled("r1", "a1")], ids=["disproved", "cancelled"])
def test_a_started_part_of_which_nothing_came_is_not_sent_again(interruption: Fact, unsent: Fact) -> None:
    then = BEGUN.when(interruption, unsent)
    assert then.reply("r1").status is ReplyStatus.WITHDRAWN
    assert then.when(started("r1", "a2")).part("r1").holder is None


def test_if_nothing_of_it_went_out_its_messages_wait_again() -> None:
    assert BEGUN.when(taken(), disproved("r1", "a1")).waiting == ("m1",)
    assert BEGUN.when(received("m2"), taken(), disproved("r1", "a1")).waiting == ("m1", "m2")


def test_if_some_of_it_went_out_its_messages_are_answered() -> None:
    then = SECOND_BEGUN.when(taken(), disproved("r1", "a2", 1))
    assert then.parts("r1") == (SENT, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.CANCELLED
    assert then.waiting == ()


def test_an_unconfirmed_part_that_a_person_disproves_during_the_handoff_is_not_sent_again() -> None:
    then = BEGUN.when(unconfirmed("r1", "a1"), taken(), disproved("r1", "a1"))
    assert then.reply("r1").status is ReplyStatus.WITHDRAWN
    assert then.waiting == ("m1",)


def test_an_unconfirmed_part_that_turns_out_sent_during_the_handoff_sends_no_later_part() -> None:
    then = BEGUN.when(unconfirmed("r1", "a1"), taken(), sent("r1", "a1"))
    assert then.parts("r1") == (SENT, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.CANCELLED


def test_a_reply_whose_delivery_fails_during_the_handoff_is_not_sent_again() -> None:
    whole = given(received("m1"), generated("r1", "m1"), *delivered_to_twilio("r1", "a1"), taken())
    then = whole.when(status("a1", "failed", code=63018), disproved("r1", "a1", code=63018))
    assert then.reply("r1").status is ReplyStatus.WITHDRAWN
    assert then.waiting == ("m1",)


# ----------------------------------------------------------------------- what somebody has dealt with never waits again


@any_close
def test_a_late_disproof_does_not_bring_closed_matters_into_the_next_conversation(close: Fact) -> None:
    then = BEGUN.when(close, received("m9"), disproved("r1", "a1"))
    assert then.reply("r1").status is ReplyStatus.WITHDRAWN
    assert then.waiting == ("m9",)


def test_a_late_disproof_does_not_undo_a_release() -> None:
    then = BEGUN.when(taken(), released(), received("m2"), disproved("r1", "a1"))
    assert then.waiting == ("m2",)


def test_a_late_disproof_does_not_undo_a_persons_answer() -> None:
    then = BEGUN.when(taken(), person_replied("p1"), disproved("r1", "a1"))
    assert then.waiting == ()
    assert then.when(silence(hours=12), ticked()).waiting == ()


# ------------------------------------------------------------------------------------------ late proof after withdrawal


def test_a_withdrawn_reply_that_was_sent_after_all_has_answered_its_messages() -> None:
    then = BEGUN.when(taken(), disproved("r1", "a1"), received("m2"), sent("r1", "a1"))
    assert then.parts("r1")[0] is SENT
    assert then.waiting == ("m2",)


def test_a_withdrawn_reply_that_was_sent_after_all_sends_nothing_more() -> None:
    then = BEGUN.when(taken(), disproved("r1", "a1"), sent("r1", "a1"))
    assert then.parts("r1") == (SENT, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.CANCELLED


# ----------------------------------------------------------------------------------------------------------- exceptions


def test_a_persons_message_is_never_withdrawn() -> None:
    then = given(received("m1"), person_replied("p1", "a", "b"), taken())
    assert then.reply("p1").status is ReplyStatus.ACCEPTED
    assert then.parts("p1") == (OPEN, OPEN)
    assert then.when(*delivered_to_twilio("p1", "b1")).reply("p1").status is ReplyStatus.ACCEPTED


def test_a_persons_message_is_sent_again_during_the_handoff() -> None:
    begun = given(received("m1"), taken(), person_replied("p1"), started("p1", "b1"))
    then = begun.when(disproved("p1", "b1"), *delivered_to_twilio("p1", "b2"))
    assert then.reply("p1").status is ReplyStatus.SENT


def test_a_late_disproof_after_the_expiry_leaves_dead_letters_and_not_silence() -> None:
    then = BEGUN.when(policy(after_handoff="expired"), taken(), silence(hours=12), disproved("r1", "a1"))
    assert then.status is Status.EXPIRED
    assert then.waiting == ()
    assert then.letters["responder", "m1"].conversation_id == "m1"
    assert then.when(redriven("m1")).waiting == ("m1",)


def test_closing_what_has_ended_withdraws_nothing() -> None:
    then = ACCEPTED.when(silence(hours=48), closed())
    assert then.reply("r1").status is ReplyStatus.ACCEPTED


def test_an_expiry_withdraws_nothing() -> None:
    then = ACCEPTED.when(silence(hours=48), ticked())
    assert then.status is Status.EXPIRED
    assert then.reply("r1").status is ReplyStatus.ACCEPTED


def test_what_was_rejected_stays_rejected() -> None:
    then = BEGUN.when(rejected("r1", "a1"), taken())
    assert then.parts("r1") == (PartStatus.REJECTED, CANCELLED)
    assert then.reply("r1").status is ReplyStatus.FAILED


def test_after_a_take_over_the_next_answer_covers_what_was_withdrawn() -> None:
    then = ACCEPTED.when(taken(), silence(hours=12), generated("r2", "m1"))
    assert then.reply("r2").status is ReplyStatus.ACCEPTED
    assert numbers(then.reply("r2").covers) == (1,)
