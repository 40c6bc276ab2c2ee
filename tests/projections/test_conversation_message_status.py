"""How far a message came: callbacks are lost, late, doubled and out of order, and end in the same state."""

from dataclasses import replace
from itertools import combinations, permutations

import pytest

from projections.message_status import merge_status
from projections.state import Message
from tests.projections.scenario import THREAD, Fact, History, again, generated, given, received, sent, started, status, with_known

WAY_OF_A_DELIVERED_ONE = ("accepted", "queued", "sending", "sent", "delivered", "read")
FAILURES = ("failed", "undelivered")
EVERY = (*WAY_OF_A_DELIVERED_ONE, "scheduled", "canceled", *FAILURES, "partially_delivered")

HELD = given(received("m1"), generated("r1", "m1"), started("r1", "a1"))
SENT = HELD.when(sent("r1", "a1"))


def message(told: str) -> Message:
    return Message("SM1", THREAD, "outbound", told, 0, "e1")


# ------------------------------------------------------------------------------------------------------ the lattice


@pytest.mark.parametrize("ending", ["delivered", "read"])
def test_callbacks_in_every_order_end_in_the_furthest_status(ending: str) -> None:
    way = WAY_OF_A_DELIVERED_ONE[: WAY_OF_A_DELIVERED_ONE.index(ending) + 1][-4:]
    for order in permutations(way):
        then = SENT.when(*(status("a1", each) for each in order))
        assert then.messages["SM-a1"].status == ending, order


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_stands_against_every_step_of_the_way_in_every_order(failure: str) -> None:
    for order in permutations(
        (status("a1", failure, code=63016), status("a1", "queued"), status("a1", "sending"), status("a1", "sent"))
    ):
        told = SENT.when(*order).messages["SM-a1"]
        assert (told.status, told.error_code) == (failure, 63016)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("arrival", ["delivered", "read"])
def test_what_was_seen_to_arrive_arrived_in_every_order(failure: str, arrival: str) -> None:
    for order in permutations((status("a1", failure, code=63018), status("a1", "sent"), status("a1", arrival))):
        told = SENT.when(*order).messages["SM-a1"]
        assert (told.status, told.error_code) == (arrival, 63018)


def test_joining_is_commutative_associative_and_idempotent() -> None:
    codes = {told: code for code, told in enumerate(FAILURES, start=63016)}
    for first, second in combinations(EVERY, 2):
        one = merge_status(message(first), second, codes.get(second))
        other = merge_status(message(second), first, codes.get(first))
        assert one.status == other.status
        assert merge_status(one, second, codes.get(second)) == one
    for order in permutations(FAILURES):
        told = message("queued")
        for each in order:
            told = merge_status(told, each, codes[each])
        assert (told.status, told.error_code) == ("undelivered", 63017)


@pytest.mark.parametrize("before", EVERY)
def test_no_status_goes_back_to_a_step_before_it(before: str) -> None:
    assert merge_status(message(before), "accepted", None).status == before


def test_a_status_that_nobody_knows_takes_nothing_away() -> None:
    assert merge_status(message("sent"), "teleported", None).status == "sent"
    assert merge_status(message("teleported"), "queued", None).status == "queued"


def test_an_error_is_never_erased_by_its_absence() -> None:
    then = SENT.when(status("a1", "undelivered", code=63016), status("a1", "undelivered"))
    assert then.messages["SM-a1"].error_code == 63016


# ----------------------------------------------------------------------------------------------------- unknown sids


def test_a_callback_for_an_unknown_sid_is_kept() -> None:
    then = HELD.when(status("a1", "delivered", sid="SM-unknown"))
    told = then.messages["SM-unknown"]
    assert (told.direction, told.status, told.attempt, told.reply_id, told.conversation_id) == (
        "outbound",
        "delivered",
        "a1",
        None,
        None,
    )


def test_a_message_that_was_told_of_first_is_joined_by_its_send() -> None:
    told = HELD.when(status("a1", "delivered"), sent("r1", "a1")).messages["SM-a1"]
    assert (told.status, told.reply_id, told.part, told.body, told.conversation_id) == ("delivered", "r1", 0, "Hello.", "m1")


def test_a_callback_and_its_send_end_in_the_same_message_in_either_order() -> None:
    callbacks = (status("a1", "sent"), status("a1", "delivered"))
    outcomes = set()
    for order in permutations((again(sent("r1", "a1"), "the send"), *callbacks)):
        then = HELD.when(*order)
        told = then.messages["SM-a1"]
        outcomes.add((told.status, told.error_code, told.reply_id, told.part, told.body, told.event, then.part("r1").status))
    assert len(outcomes) == 1


def test_a_callback_without_our_attempt_still_joins_by_its_sid() -> None:
    then = SENT.when(status(None, "read", sid="SM-a1"))
    assert then.messages["SM-a1"].status == "read"
    assert then.messages["SM-a1"].reply_id == "r1"


@pytest.mark.parametrize("late", [status("a9", "delivered"), status(None, "failed", sid="SM-x", code=1)])
def test_a_callback_about_something_unknown_changes_no_reply_and_no_conversation(late: Fact) -> None:
    then = SENT.when(late)
    assert then.state.replies == SENT.state.replies
    assert then.conversation == SENT.conversation


# ------------------------------------------------------------------------------------------------- what is not meant


OTHERS = Message("SM-a1", "whatsapp:+14155238886|whatsapp:+551188888", "outbound", "sent", 0, "e1", reply_id="r9", part=0)
RUMOUR_ELSEWHERE = replace(OTHERS, reply_id=None, part=None)


def knowing(history: History, *messages: Message) -> History:
    return replace(history, state=with_known(history.state, {message.sid: message for message in messages}))


def test_a_message_counts_though_a_callback_spoke_of_its_sid_before() -> None:
    then = HELD.when(status(None, "failed", sid="SM-x", code=63016), received("m2", sid="SM-x"))
    assert then.waiting == ("m2",)
    told = then.messages["SM-x"]
    assert (told.direction, told.status, told.error_code, told.event, told.body) == ("inbound", "received", None, "m2", "Olá")
    assert then.when(received("m3", sid="SM-x")).waiting == ("m2",)


def test_a_callback_changes_nothing_about_what_the_contact_wrote() -> None:
    then = HELD.when(status("a1", "failed", sid="SM-m1", code=63016))
    assert then.rows == HELD.rows
    assert then.state.replies == HELD.state.replies


def test_a_callback_changes_nothing_about_a_message_on_another_thread() -> None:
    for other in (OTHERS, replace(OTHERS, direction="inbound", reply_id=None), RUMOUR_ELSEWHERE):
        then = knowing(HELD, other).when(status("a1", "failed", code=63016))
        assert then.rows == HELD.rows
        assert then.state.replies == HELD.state.replies


def test_a_send_takes_a_sid_that_a_callback_on_another_thread_spoke_of_and_nothing_of_what_it_said() -> None:
    spoken_of = replace(RUMOUR_ELSEWHERE, status="failed", error_code=63016)
    then = knowing(HELD, spoken_of).when(sent("r1", "a1"))
    told = then.messages["SM-a1"]
    assert (told.thread, told.status, told.error_code, told.reply_id) == (THREAD, "queued", None, "r1")


def test_a_send_takes_no_sid_that_is_another_message() -> None:
    for other in (OTHERS, replace(OTHERS, thread=THREAD, direction="inbound", reply_id=None)):
        then = knowing(HELD, other).when(sent("r1", "a1"))
        assert then.rows == HELD.rows
        assert then.part("r1").status == "started"
