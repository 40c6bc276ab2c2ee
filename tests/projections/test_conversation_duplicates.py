"""What was folded already changes nothing: an event id, a sid, a reply id, a send attempt."""

import pytest

from projections.changes import RECENT_EVENTS
from tests.projections.scenario import (
    Fact,
    History,
    again,
    answered,
    attempt_failed,
    attempt_paused,
    attempt_started,
    closed,
    dead_lettered,
    delivered_to_twilio,
    discarded,
    disproved,
    failed,
    generated,
    given,
    person_replied,
    received,
    redriven,
    rejected,
    released,
    sent,
    silence,
    started,
    status,
    taken,
    unconfirmed,
    with_known,
)

STORY = {
    "message.received": ((), received("m1")),
    "reply.generated": ((received("m1"),), generated("r1", "m1")),
    "reply.failed": ((received("m1"),), failed("f1", "m1")),
    "person.replied": ((received("m1"),), person_replied("p1")),
    "send.started": ((received("m1"), generated("r1", "m1")), started("r1", "a1")),
    "message.sent": ((received("m1"), generated("r1", "m1"), started("r1", "a1")), sent("r1", "a1")),
    "send.rejected": ((received("m1"), generated("r1", "m1"), started("r1", "a1")), rejected("r1", "a1")),
    "send.disproved": ((received("m1"), generated("r1", "m1"), started("r1", "a1")), disproved("r1", "a1")),
    "send.unconfirmed": ((received("m1"), generated("r1", "m1"), started("r1", "a1")), unconfirmed("r1", "a1")),
    "message.status_changed": ((received("m1"), *answered("r1", "m1")), status("r1-a", "delivered")),
    "event.dead_lettered": ((received("m1"),), dead_lettered("m1")),
    "redrive.requested": ((received("m1"), dead_lettered("m1")), redriven("m1")),
    "dead_letter.discarded": ((received("m1"), dead_lettered("m1")), discarded("m1")),
}
EVENT_ID_ONLY = {
    "conversation.taken": ((received("m1"),), taken()),
    "conversation.released": ((received("m1"), taken()), released()),
    "conversation.closed": ((received("m1"),), closed()),
    "attempt.failed": ((received("m1"),), attempt_failed("m1")),
    "attempt.started": ((received("m1"),), attempt_started("m1")),
    "attempt.paused": ((received("m1"), attempt_started("m1"), attempt_started("m1")), attempt_paused("m1")),
}
any_event = pytest.mark.parametrize(("before", "fact"), [*STORY.values(), *EVENT_ID_ONLY.values()], ids=[*STORY, *EVENT_ID_ONLY])
any_identified = pytest.mark.parametrize(("before", "fact"), STORY.values(), ids=STORY)


@any_event
def test_a_repeated_event_changes_nothing(before: tuple[Fact, ...], fact: Fact) -> None:
    fact = again(fact, fact.id or "once")
    once = given(*before, fact)
    twice = once.when(fact)
    assert twice.state == once.state
    assert twice.rows == once.rows


@any_event
def test_a_repeated_event_changes_nothing_after_more_has_happened(before: tuple[Fact, ...], fact: Fact) -> None:
    fact = again(fact, fact.id or "once")
    more = (received("m8"), silence(minutes=3), person_replied("p8"), *delivered_to_twilio("p8", "b8"))
    assert given(*before, fact, *more, fact).state == given(*before, fact, *more).state


@any_identified
def test_a_repeat_under_another_event_id_writes_nothing_new(before: tuple[Fact, ...], fact: Fact) -> None:
    """A dead letter alone may be written again: it says the same, with the time of its repeat."""
    once = given(*before, fact)
    twice = once.when(again(fact, "repeat"))
    assert twice.conversations == once.conversations
    assert twice.messages == once.messages
    assert twice.state.replies == once.state.replies
    assert twice.waiting == once.waiting
    assert twice.state.inbound_count == once.state.inbound_count
    assert twice.state.reply_count == once.state.reply_count
    assert [letter.unanswered for letter in twice.state.dead_letters] == [letter.unanswered for letter in once.state.dead_letters]


def test_an_event_id_is_remembered_over_as_many_events_as_promised() -> None:
    once = given(received("m1"), again(taken("ana"), "take"), *(attempt_failed(f"e{n}") for n in range(RECENT_EVENTS - 1)))
    assert once.when(again(taken("ben"), "take")).conversation.taken_by == "ana"


# ------------------------------------------------------------------------------------------------------------- sids


def test_a_sid_counts_once() -> None:
    then = given(received("m1", sid="SM1"), received("m2", sid="SM1"))
    assert then.waiting == ("m1",)
    assert then.state.inbound_count == 1
    assert then.messages["SM1"].event == "m1"


def test_a_repeated_sid_is_no_activity() -> None:
    once = given(received("m1", sid="SM1"))
    then = once.when(silence(minutes=5), received("m2", sid="SM1"))
    assert then.conversation == once.conversation


def test_an_older_sid_that_was_looked_up_counts_once_too() -> None:
    once = given(received("m1"), *answered("r1", "m1"), closed())
    loaded = with_known(once.state, {"SM-m1": once.messages["SM-m1"]})
    then = History(loaded, once.partition, once.now_ms).when(received("again", sid="SM-m1"))
    assert then.state.conversation == once.conversation
    assert then.waiting == ()


def test_a_close_word_that_is_repeated_closes_nothing_again() -> None:
    then = given(received("m1"), closed(), received("m2", sid="SM2"), received("m3", sid="SM-m1"))
    assert then.conversation.id == "m2"
    assert then.waiting == ("m2",)


# ---------------------------------------------------------------------------------------------------------- replies


def test_two_responders_that_both_answered_produce_one_reply() -> None:
    then = given(received("m1"), generated("r1", "m1"), generated("r2", "m1"), started("r1", "a1"), started("r2", "a2"))
    assert [reply.id for reply in then.state.replies if reply.status == "accepted"] == ["r1"]
    assert then.part("r2").holder is None


def test_a_persons_message_that_is_repeated_after_the_end_opens_nothing() -> None:
    once = given(received("m1"), person_replied("p1"), *delivered_to_twilio("p1", "b1"), closed())
    then = once.when(again(person_replied("p1"), "repeat"))
    assert then.conversations == once.conversations


def test_a_sid_that_is_noted_twice_is_sent_once() -> None:
    once = given(received("m1"), *answered("r1", "m1"))
    assert once.when(again(sent("r1", "r1-a"), "repeat")).rows == once.rows
