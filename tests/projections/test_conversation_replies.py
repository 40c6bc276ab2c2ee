"""Which answers count: accepted, superseded, final; a person's; and the failure sentence."""

from typing import Any

import pytest

from projections.state import PartStatus, ReplyKind, ReplyStatus, Status
from tests.projections.scenario import (
    SENTENCE,
    Fact,
    History,
    again,
    answered,
    closed,
    delivered_to_twilio,
    failed,
    generated,
    given,
    numbers,
    person_replied,
    received,
    redriven,
    released,
    sent,
    silence,
    started,
    taken,
    ticked,
)

ONE = given(received("m1"))
TWO = given(received("m1"), received("m2"))
ACCEPTED, SUPERSEDED = ReplyStatus.ACCEPTED, ReplyStatus.SUPERSEDED


# -------------------------------------------------------------------------------------------------------- the answer


def test_an_answer_to_all_that_waits_is_accepted() -> None:
    then = TWO.when(generated("r1", "m1", "m2"))
    assert then.reply("r1").status is ACCEPTED
    assert numbers(then.reply("r1").covers) == (1, 2)
    assert then.waiting == ()


def test_an_answer_that_newer_inbound_overtook_is_superseded_and_never_sent() -> None:
    then = TWO.when(generated("r1", "m1"), started("r1", "a1"))
    assert then.reply("r1").status is SUPERSEDED
    assert then.parts("r1") == (PartStatus.OPEN,)
    assert then.waiting == ("m1", "m2")


def test_a_final_answer_is_accepted_although_newer_inbound_waits() -> None:
    then = TWO.when(generated("r1", "m1", final=True))
    assert then.reply("r1").status is ACCEPTED
    assert then.waiting == ("m2",)


def test_a_final_answer_must_begin_at_the_oldest_too() -> None:
    then = TWO.when(generated("r1", "m2", final=True))
    assert then.reply("r1").status is SUPERSEDED
    assert then.waiting == ("m1", "m2")


def test_an_answer_that_does_not_begin_at_the_oldest_is_superseded() -> None:
    assert TWO.when(generated("r1", "m2")).reply("r1").status is SUPERSEDED


def test_an_answer_to_what_is_answered_already_is_superseded() -> None:
    then = TWO.when(generated("r1", "m1", "m2"), generated("r2", "m1", "m2"))
    assert (then.reply("r1").status, then.reply("r2").status) == (ACCEPTED, SUPERSEDED)


def test_an_answer_that_ends_at_an_unknown_message_is_superseded() -> None:
    assert ONE.when(generated("r1", "m1", "m9")).reply("r1").status is SUPERSEDED


def test_an_answer_on_a_thread_without_messages_is_superseded() -> None:
    assert given(generated("r1", "m1")).reply("r1").status is SUPERSEDED


def test_the_ai_may_not_answer_in_a_handoff_even_finally() -> None:
    assert ONE.when(taken(), generated("r1", "m1", final=True)).reply("r1").status is SUPERSEDED


def test_nothing_is_answered_in_an_ended_conversation() -> None:
    assert ONE.when(closed(), generated("r1", "m1")).reply("r1").status is SUPERSEDED
    assert ONE.when(silence(hours=48), generated("r1", "m1")).reply("r1").status is SUPERSEDED


def test_an_answer_to_the_conversation_before_is_superseded() -> None:
    then = ONE.when(closed(), received("m2"), generated("r1", "m1", "m2"))
    assert then.reply("r1").status is SUPERSEDED
    assert then.waiting == ("m2",)


def test_an_accepted_answer_stays_accepted_when_newer_inbound_comes() -> None:
    then = ONE.when(generated("r1", "m1"), received("m2"), received("m3"))
    assert then.reply("r1").status is ACCEPTED
    assert then.waiting == ("m2", "m3")


def test_an_answer_says_which_conversation_it_belongs_to() -> None:
    then = ONE.when(closed(), received("m2"), generated("r2", "m2"))
    assert then.reply("r2").conversation_id == "m2"


def test_a_reply_in_parts_is_sent_when_all_of_them_are() -> None:
    given_two = ONE.when(generated("r1", "m1", parts=("a", "b")), *delivered_to_twilio("r1", "a1", 0))
    assert given_two.reply("r1").status is ACCEPTED
    assert given_two.when(*delivered_to_twilio("r1", "a2", 1)).reply("r1").status is ReplyStatus.SENT


# ---------------------------------------------------------------------------------------------------------- a person


def test_a_persons_message_is_accepted_in_every_open_status() -> None:
    for before in (ONE, ONE.when(*answered("r1", "m1")), ONE.when(taken())):
        then = before.when(person_replied("p1"))
        assert then.reply("p1").status is ACCEPTED
        assert then.reply("p1").kind is ReplyKind.PERSON
        assert then.reply("p1").by == "ana"


def test_a_persons_message_answers_all_that_came_before() -> None:
    then = TWO.when(person_replied("p1"), received("m3"))
    assert numbers(then.reply("p1").covers) == (1, 2)
    assert then.waiting == ("m3",)


def test_an_answer_that_a_person_was_faster_with_is_superseded() -> None:
    assert ONE.when(person_replied("p1"), generated("r1", "m1")).reply("r1").status is SUPERSEDED


def test_a_person_may_write_first() -> None:
    then = given(person_replied("p1"), *delivered_to_twilio("p1", "b1"))
    assert then.conversation.id == "p1!"
    assert then.status is Status.ACTIVE


# --------------------------------------------------------------------------------------------- the failure sentence


def test_a_failure_dead_letters_what_it_covers_and_says_the_sentence() -> None:
    then = TWO.when(failed("f1", "m1", "m2"))
    assert then.waiting == ()
    assert [(letter.event, letter.group) for letter in then.state.dead_letters] == [("m1", "responder"), ("m2", "responder")]
    sentence = then.reply("f1")
    assert (sentence.kind, sentence.status, sentence.parts[0].text) == (ReplyKind.FAILURE_SENTENCE, ACCEPTED, SENTENCE)
    assert sentence.covers == ()


def test_newer_inbound_outlives_the_failure_of_what_came_before() -> None:
    assert TWO.when(failed("f1", "m1")).waiting == ("m2",)


def test_without_a_sentence_a_failure_is_silent() -> None:
    then = ONE.when(failed("f1", "m1", sentence=None))
    assert then.state.replies == ()
    assert ("responder", "m1") in then.letters


def test_the_sentence_is_said_once_per_last_inbound() -> None:
    then = ONE.when(failed("f1", "m1"), redriven("m1"), failed("f2", "m1"))
    assert [reply.id for reply in then.state.replies] == ["f1"]
    assert then.waiting == ()


TOLD = ONE.when(failed("f1", "m1"), *delivered_to_twilio("f1", "a1"))
"""The contact has read the sentence."""


def sentences(history: History) -> list[str]:
    return [reply.id for reply in history.state.replies if reply.kind is ReplyKind.FAILURE_SENTENCE]


def test_a_contact_who_writes_on_through_an_outage_is_told_once() -> None:
    then = TOLD
    for number in range(2, 8):
        then = then.when(silence(minutes=2), received(f"m{number}"), failed(f"f{number}", f"m{number}"))
    assert sentences(then) == ["f1"]
    assert then.waiting == ()
    assert sum(letter.status == "open" for letter in then.letters.values()) == 7


def test_the_idle_timeout_after_the_sentence_a_failure_is_told_again() -> None:
    before = TOLD.when(received("m2"), silence(minutes=15, milliseconds=-1), failed("f2", "m2"))
    then = before.when(received("m3"), silence(milliseconds=1), failed("f3", "m3"))
    assert (sentences(before), sentences(then)) == (["f1"], ["f1", "f3"])


@pytest.mark.parametrize("answer", [generated("r1", "m2"), person_replied("r1")], ids=["the AI", "a person"])
def test_after_an_answer_went_out_a_failure_is_told_again(answer: Fact) -> None:
    waiting = TOLD.when(received("m2"), answer)
    assert sentences(waiting.when(received("m3"), failed("f2", "m3"))) == ["f1"]
    then = waiting.when(*delivered_to_twilio("r1", "a2"), received("m3"), failed("f2", "m3"))
    assert sentences(then) == ["f1", "f2"]


def test_an_answer_from_before_the_sentence_makes_no_failure_news() -> None:
    slow = ONE.when(generated("r1", "m1"), received("m2"), failed("f1", "m2"), *delivered_to_twilio("r1", "a1"))
    assert sentences(slow.when(received("m3"), failed("f2", "m3"))) == ["f1"]


def test_a_sentence_that_was_withdrawn_unsaid_told_nobody() -> None:
    then = ONE.when(failed("f1", "m1"), taken(), released(), received("m2"), failed("f2", "m2"))
    assert sentences(then) == ["f1", "f2"]
    assert then.reply("f1").status is ReplyStatus.WITHDRAWN


def test_two_responders_that_both_failed_say_one_sentence() -> None:
    then = ONE.when(failed("f1", "m1"), failed("f2", "m1"))
    assert [reply.id for reply in then.state.replies] == ["f1"]
    assert len(then.state.dead_letters) == 1


def test_a_failure_to_answer_what_was_answered_meanwhile_changes_nothing() -> None:
    then = ONE.when(generated("r1", "m1"), failed("f1", "m1"))
    assert then.state.dead_letters == ()
    assert [reply.id for reply in then.state.replies] == ["r1"]


def test_a_failure_in_a_handoff_changes_nothing() -> None:
    then = ONE.when(taken(), failed("f1", "m1"))
    assert then.waiting == ("m1",)
    assert then.state.replies == ()


def test_the_sentence_going_out_is_activity() -> None:
    then = ONE.when(silence(minutes=1), failed("f1", "m1"), *delivered_to_twilio("f1", "a1"))
    assert then.status is Status.ACTIVE
    assert then.conversation.last_activity_at_ms == then.now_ms


# --------------------------------------------------------------------------------- the AI's own close and hand-off


def test_an_ais_close_waits_until_the_goodbye_is_sent() -> None:
    given_goodbye = ONE.when(generated("r1", "m1", closes=True), started("r1", "a1"))
    assert given_goodbye.status is Status.PENDING
    then = given_goodbye.when(sent("r1", "a1"))
    assert (then.status, then.conversation.closed_by) == (Status.CLOSED, "ai")


def test_an_ais_close_waits_for_the_last_part() -> None:
    given_half = ONE.when(generated("r1", "m1", closes=True, parts=("a", "b")), *delivered_to_twilio("r1", "a1", 0))
    assert given_half.status is Status.ACTIVE
    assert given_half.when(*delivered_to_twilio("r1", "a2", 1)).status is Status.CLOSED


def test_an_ais_hand_off_takes_effect_when_it_is_sent_and_nobody_has_taken_it_yet() -> None:
    then = ONE.when(*answered("r1", "m1", hands_off=True))
    assert then.status is Status.HANDOFF
    assert then.conversation.taken_by is None
    assert then.minutes_until(then.conversation.ends_at_ms) == 12 * 60


def test_an_ais_close_lapses_if_newer_inbound_waits() -> None:
    then = ONE.when(generated("r1", "m1", closes=True), received("m2"), *delivered_to_twilio("r1", "a1"))
    assert then.status is Status.ACTIVE
    assert then.waiting == ("m2",)


def test_an_ais_hand_off_lapses_if_newer_inbound_waits() -> None:
    then = ONE.when(generated("r1", "m1", hands_off=True), received("m2"), *delivered_to_twilio("r1", "a1"))
    assert then.status is Status.ACTIVE


@pytest.mark.parametrize("wants", [{"closes": True}, {"hands_off": True}], ids=str)
def test_what_the_ai_decided_lapses_if_a_newer_answer_was_accepted_before_it_was_sent(wants: dict[str, Any]) -> None:
    """The newer answer knows more, and would go out after the door was closed."""
    begun = ONE.when(generated("r1", "m1", **wants), started("r1", "a1"), received("m2"))
    overtaken = begun.when(generated("r2", "m2"), sent("r1", "a1"))
    assert overtaken.status is Status.ACTIVE
    assert overtaken.when(*delivered_to_twilio("r2", "b1")).status is Status.ACTIVE
    assert begun.when(person_replied("p2"), sent("r1", "a1")).status is Status.ACTIVE
    wants_it_too = begun.when(generated("r2", "m2", **wants), sent("r1", "a1"), *delivered_to_twilio("r2", "b1"))
    assert wants_it_too.status in (Status.CLOSED, Status.HANDOFF)


def test_a_newer_answer_that_came_too_late_to_count_overtakes_nothing() -> None:
    late = ONE.when(generated("r1", "m1", closes=True), started("r1", "a1"), generated("r2", "m1"))
    assert late.when(sent("r1", "a1")).status is Status.CLOSED


def test_a_superseded_goodbye_closes_nothing() -> None:
    assert TWO.when(*answered("r1", "m1", closes=True)).status is Status.PENDING


def test_a_goodbye_of_the_conversation_before_does_not_close_the_next_one() -> None:
    goodbye = ONE.when(generated("r1", "m1", closes=True), started("r1", "a1"), silence(hours=48), received("m2"))
    then = goodbye.when(person_replied("p2"), sent("r1", "a1"))
    assert then.conversation.id == "m2"
    assert then.status is Status.PENDING


def test_what_the_ai_decided_lapses_where_a_person_took_over() -> None:
    goodbye = ONE.when(generated("r1", "m1", closes=True), started("r1", "a1"), taken())
    assert goodbye.when(sent("r1", "a1")).status is Status.HANDOFF


def test_what_follows_a_hand_off_waits_for_the_person_until_it_runs_out() -> None:
    waiting = ONE.when(*answered("r1", "m1", hands_off=True), received("m2"))
    assert not waiting.state.ai_may_answer
    then = waiting.when(silence(hours=12), ticked())
    assert then.state.ai_may_answer
    assert then.waiting == ("m2",)


def test_a_repeated_answer_is_the_same_answer() -> None:
    once = ONE.when(generated("r1", "m1"))
    assert once.when(again(generated("r1", "m1"), "x")).state.replies == once.state.replies
