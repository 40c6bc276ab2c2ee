"""How far a message came: callbacks are lost, late, doubled and out of order, and end in the same state."""

from itertools import combinations, permutations

import pytest

from projections.message_status import merge_status
from projections.state import Message
from tests.projections.scenario import Fact, again, generated, given, received, sent, started, status

WAY_OF_A_DELIVERED_ONE = ("accepted", "queued", "sending", "sent", "delivered", "read")
FAILURES = ("failed", "undelivered")
EVERY = (*WAY_OF_A_DELIVERED_ONE, "scheduled", "canceled", *FAILURES, "partially_delivered")

HELD = given(received("m1"), generated("r1", "m1"), started("r1", "a1"))
SENT = HELD.when(sent("r1", "a1"))


def message(told: str) -> Message:
    return Message("SM1", "outbound", told, 0, "e1")


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
