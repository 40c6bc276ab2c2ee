"""Every status of a conversation, and each way out of it; the deadlines are those of the built-in policy."""

import pytest

from projections.policy import Policy
from projections.state import ClosedBy, Conversation, Status
from streams.events import AfterHandoff, Rejection
from tests.projections.scenario import (
    Fact,
    History,
    answered,
    closed,
    generated,
    given,
    person_replied,
    policy,
    received,
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

A_MOMENT = silence(milliseconds=1)
IDLE_AFTER = silence(minutes=15)
EXPIRY_AFTER = silence(hours=24)
PENDING_EXPIRY_AFTER = silence(hours=48)
HANDOFF_EXPIRY_AFTER = silence(hours=12)

CLOSE_WORDS = policy(close_words=("tchau",))
PENDING = given(CLOSE_WORDS, received("m1"))
ACTIVE = given(CLOSE_WORDS, received("m1"), *answered("r1", "m1"))
IDLE = ACTIVE.when(IDLE_AFTER, ticked())
HANDOFF = ACTIVE.when(taken())
EXPIRED = ACTIVE.when(EXPIRY_AFTER, ticked())
CLOSED = ACTIVE.when(closed())

OPEN = {"pending": PENDING, "active": ACTIVE, "idle": IDLE, "handoff": HANDOFF}
ENDED = {"expired": EXPIRED, "closed": CLOSED}
any_open = pytest.mark.parametrize("before", OPEN.values(), ids=OPEN)
any_ended = pytest.mark.parametrize("before", ENDED.values(), ids=ENDED)


def test_the_first_message_opens_a_pending_conversation() -> None:
    then = given(received("m1"))
    assert then.status is Status.PENDING
    assert then.conversation.id == "m1"
    assert then.conversation.previous_conversation_id is None
    assert then.waiting == ("m1",)


# ---------------------------------------------------------------------------------------------------------- pending


def test_a_generated_reply_leaves_it_pending() -> None:
    assert PENDING.when(generated("r1", "m1"), started("r1", "a1")).status is Status.PENDING


def test_the_first_send_makes_it_active() -> None:
    assert PENDING.when(generated("r1", "m1"), started("r1", "a1"), sent("r1", "a1")).status is Status.ACTIVE


def test_a_rejected_first_send_leaves_it_pending() -> None:
    assert PENDING.when(generated("r1", "m1"), started("r1", "a1"), rejected("r1", "a1")).status is Status.PENDING


def test_pending_is_never_idle() -> None:
    assert PENDING.when(IDLE_AFTER, ticked()).status is Status.PENDING


def test_pending_lasts_as_long_as_its_own_timeout() -> None:
    assert PENDING.when(silence(hours=48, milliseconds=-1), ticked()).status is Status.PENDING
    assert PENDING.when(PENDING_EXPIRY_AFTER, ticked()).status is Status.EXPIRED


def test_another_message_while_pending_starts_the_silence_anew() -> None:
    then = PENDING.when(silence(hours=47), received("m2"), silence(hours=47), ticked())
    assert then.status is Status.PENDING


# ----------------------------------------------------------------------------------------------------------- active


def test_an_answered_conversation_is_idle_after_the_idle_timeout() -> None:
    assert ACTIVE.when(silence(minutes=15, milliseconds=-1), ticked()).status is Status.ACTIVE
    assert ACTIVE.when(IDLE_AFTER, ticked()).status is Status.IDLE


def test_what_is_unanswered_is_not_idle() -> None:
    assert ACTIVE.when(received("m2"), IDLE_AFTER, ticked()).status is Status.ACTIVE


def test_what_is_still_to_be_sent_is_not_idle() -> None:
    assert ACTIVE.when(received("m2"), generated("r2", "m2"), IDLE_AFTER, ticked()).status is Status.ACTIVE


def test_an_unanswered_active_conversation_expires_after_the_expiry_timeout() -> None:
    then = ACTIVE.when(received("m2"), silence(hours=24, milliseconds=-1), ticked())
    assert then.status is Status.ACTIVE
    assert then.when(A_MOMENT, ticked()).status is Status.EXPIRED


@pytest.mark.parametrize(
    "activity",
    [
        (received("m2"), *answered("r2", "m2")),
        (person_replied("p1"), started("p1", "b1"), sent("p1", "b1")),
    ],
    ids=["contact", "person"],
)
def test_activity_starts_the_silence_anew(activity: tuple[Fact, ...]) -> None:
    then = ACTIVE.when(silence(minutes=14), *activity, silence(minutes=14), ticked())
    assert then.status is Status.ACTIVE
    assert then.when(silence(minutes=1), ticked()).status is Status.IDLE


def test_only_the_first_send_of_a_reply_is_activity() -> None:
    given_two_parts = given(received("m1"), generated("r1", "m1", parts=("a", "b")), started("r1", "a1"), sent("r1", "a1"))
    first_sent_at = given_two_parts.conversation.last_activity_at_ms
    then = given_two_parts.when(silence(minutes=5), started("r1", "a2", 1), sent("r1", "a2", 1))
    assert then.conversation.last_activity_at_ms == first_sent_at


def test_a_status_callback_is_no_activity() -> None:
    then = ACTIVE.when(silence(minutes=14), status("r1-a", "delivered"), silence(minutes=1), status("r1-a", "read"))
    assert then.status is Status.IDLE
    assert then.conversation.last_activity_at_ms == ACTIVE.conversation.last_activity_at_ms


def test_a_generated_reply_is_no_activity() -> None:
    asked = PENDING.when(silence(minutes=1), generated("r1", "m1"), started("r1", "a1"))
    assert asked.conversation.last_activity_at_ms == PENDING.conversation.last_activity_at_ms


def test_an_unconfirmed_reply_no_longer_holds_idleness_up() -> None:
    given_unsure = ACTIVE.when(received("m2"), generated("r2", "m2"), started("r2", "a2"), unconfirmed("r2", "a2"))
    assert given_unsure.when(IDLE_AFTER, ticked()).status is Status.IDLE


# ------------------------------------------------------------------------------------------------------------- idle


def test_an_inbound_message_makes_an_idle_conversation_active() -> None:
    then = IDLE.when(received("m2"))
    assert then.status is Status.ACTIVE
    assert then.conversation.id == IDLE.conversation.id


def test_a_persons_message_makes_an_idle_conversation_active() -> None:
    assert IDLE.when(person_replied("p1")).status is Status.ACTIVE


def test_idle_expires_at_the_expiry_deadline_counted_from_the_last_activity() -> None:
    assert ACTIVE.when(silence(hours=24, milliseconds=-1), ticked()).status is Status.IDLE
    assert EXPIRED.status is Status.EXPIRED
    assert EXPIRED.conversation.ended_at_ms == ACTIVE.conversation.ends_at_ms


def test_where_idle_and_expiry_fall_together_it_expires() -> None:
    equal = policy(idle_after_minutes=60, expire_after_minutes=60)
    then = given(equal, received("m1"), *answered("r1", "m1"), silence(minutes=60), ticked())
    assert then.status is Status.EXPIRED
    assert Status.IDLE not in {row.status for row in then.rows if isinstance(row, Conversation)}


# ---------------------------------------------------------------------------------------------------------- handoff


@any_open
def test_a_person_can_take_over_any_open_conversation(before: History) -> None:
    then = before.when(taken("ana"))
    assert then.status is Status.HANDOFF
    assert then.conversation.taken_by == "ana"
    assert not then.state.ai_may_answer


def test_a_release_makes_it_active_and_marks_what_came_before_as_answered() -> None:
    then = HANDOFF.when(received("m2"), received("m3"), released())
    assert then.status is Status.ACTIVE
    assert then.conversation.taken_by is None
    assert then.waiting == ()
    assert not then.letters


def test_what_comes_after_a_release_is_the_ais_again() -> None:
    then = HANDOFF.when(received("m2"), released(), received("m3"), generated("r3", "m3"))
    assert then.reply("r3").status == "accepted"


@pytest.mark.parametrize(
    "before", [PENDING, ACTIVE, IDLE, EXPIRED, CLOSED], ids=["pending", "active", "idle", "expired", "closed"]
)
def test_only_a_handoff_can_be_released(before: History) -> None:
    then = before.when(released())
    assert then.conversation == before.conversation
    assert then.waiting == before.waiting


def test_a_handoff_that_runs_out_becomes_active_and_keeps_what_is_unanswered() -> None:
    given_waiting = HANDOFF.when(received("m2"))
    assert given_waiting.when(silence(hours=12, milliseconds=-1), ticked()).status is Status.HANDOFF
    then = given_waiting.when(HANDOFF_EXPIRY_AFTER, ticked())
    assert then.status is Status.ACTIVE
    assert then.waiting == ("m2",)
    assert then.conversation.taken_by is None
    assert then.state.ai_may_answer


def test_a_handoff_that_runs_out_counts_its_silence_from_the_deadline() -> None:
    late = HANDOFF.when(HANDOFF_EXPIRY_AFTER, silence(minutes=14), ticked())
    assert late.status is Status.ACTIVE
    assert late.when(silence(minutes=1), ticked()).status is Status.IDLE


def test_a_handoff_that_runs_out_expires_where_the_policy_says_so_and_dead_letters_what_is_unanswered() -> None:
    then = HANDOFF.when(
        policy(after_handoff=AfterHandoff.EXPIRED), received("m2"), received("m3"), HANDOFF_EXPIRY_AFTER, ticked()
    )
    assert then.status is Status.EXPIRED
    assert then.waiting == ()
    assert [letter.event for letter in then.state.dead_letters] == ["m2", "m3"]


@pytest.mark.parametrize("activity", [received("m2"), person_replied("p1")], ids=["contact", "person"])
def test_activity_in_a_handoff_starts_its_silence_anew(activity: Fact) -> None:
    then = HANDOFF.when(silence(hours=11), activity, silence(hours=11), ticked())
    assert then.status is Status.HANDOFF
    assert then.when(silence(hours=1), ticked()).status is Status.ACTIVE


def test_a_message_in_a_handoff_waits_for_the_person() -> None:
    then = HANDOFF.when(received("m2"), generated("r2", "m2"))
    assert then.waiting == ("m2",)
    assert then.reply("r2").status == "superseded"


# ---------------------------------------------------------------------------------------------- expired and closed


@any_open
def test_a_person_can_close_any_open_conversation(before: History) -> None:
    then = before.when(closed())
    assert (then.status, then.conversation.closed_by) == (Status.CLOSED, ClosedBy.PERSON)
    assert then.conversation.ended_at_ms == then.now_ms
    assert then.waiting == ()


@any_open
def test_a_contact_can_close_any_open_conversation_with_a_close_word(before: History) -> None:
    then = before.when(received("bye", "Tchau!"))
    assert (then.status, then.conversation.closed_by) == (Status.CLOSED, ClosedBy.CONTACT)
    assert then.waiting == ()
    assert then.messages["SM-bye"].body == "Tchau!"


@pytest.mark.parametrize("reason", [Rejection.UNREACHABLE, Rejection.OPTED_OUT])
def test_a_contact_who_cannot_be_reached_closes_it_and_what_waits_is_dead_lettered(reason: Rejection) -> None:
    given_waiting = PENDING.when(generated("r1", "m1"), started("r1", "a1"), received("m2"))
    then = given_waiting.when(rejected("r1", "a1", code=63024, reason=reason))
    assert (then.status, then.conversation.closed_by) == (Status.CLOSED, ClosedBy.FAILURE)
    assert ("responder", "m2") in then.letters


@pytest.mark.parametrize("reason", sorted(set(Rejection) - {Rejection.UNREACHABLE, Rejection.OPTED_OUT}))
def test_any_other_rejection_leaves_it_open(reason: Rejection) -> None:
    then = PENDING.when(generated("r1", "m1"), started("r1", "a1"), rejected("r1", "a1", reason=reason))
    assert then.status is Status.PENDING


@any_ended
def test_an_ended_conversation_stays_as_it_is(before: History) -> None:
    then = before.when(taken(), released(), closed(), silence(hours=100), ticked())
    assert then.conversation == before.conversation
    assert then.conversation.next_deadline_at_ms is None


@any_ended
def test_the_next_message_opens_a_linked_conversation(before: History) -> None:
    then = before.when(received("m9"))
    assert then.conversation.id == "m9"
    assert then.status is Status.PENDING
    assert then.conversation.previous_conversation_id == before.conversation.id
    assert then.conversations[before.conversation.id] == before.conversation


@any_ended
def test_a_persons_message_opens_a_linked_conversation(before: History) -> None:
    then = before.when(person_replied("p1"))
    assert then.conversation.id == "p1!"
    assert then.conversation.previous_conversation_id == before.conversation.id
    assert then.reply("p1").status == "accepted"


def test_a_message_after_the_deadline_opens_a_linked_conversation_without_any_tick() -> None:
    then = ACTIVE.when(EXPIRY_AFTER, received("m2"))
    assert then.conversation.id == "m2"
    assert then.conversations["m1"].status is Status.EXPIRED


def test_a_conversation_that_expires_with_unanswered_messages_says_so() -> None:
    then = PENDING.when(received("m2"), PENDING_EXPIRY_AFTER, silence(hours=1), ticked())
    assert [letter.event for letter in then.state.dead_letters] == ["m1", "m2"]
    letter = then.letters["responder", "m1"]
    assert (letter.error, letter.conversation_id) == ("conversation.expired", "m1")
    assert letter.at_ms == then.conversation.ended_at_ms == then.now_ms - 3_600_000
    assert then.waiting == ()


def test_a_conversation_that_expires_with_everything_answered_leaves_no_dead_letter() -> None:
    assert not EXPIRED.letters


# --------------------------------------------------------------------------------------------------- close words


@pytest.mark.parametrize("body", ["tchau", "TCHAU", " Tchau. ", "tchau!!", "tchau…", "TCHAU?"])
def test_a_whole_message_that_is_a_close_word_closes(body: str) -> None:
    assert ACTIVE.when(received("bye", body)).status is Status.CLOSED


@pytest.mark.parametrize("body", ["tchau amigo", "diga tchau", "tchauzinho", "", "!", "t.chau"])
def test_a_goodbye_inside_a_sentence_does_not_close(body: str) -> None:
    assert ACTIVE.when(received("m2", body)).status is Status.ACTIVE


@pytest.mark.parametrize("body", ["", "!", "adeus"])
def test_without_close_words_nothing_closes(body: str) -> None:
    assert Policy().close_words == ()
    assert given(policy(close_words=("", " !")), received("m1", body)).status is Status.PENDING


def test_a_close_word_is_recognised_however_its_accents_are_encoded() -> None:
    assert given(policy(close_words=("at\u00e9 logo",)), received("m1", "ate\u0301 logo")).status is Status.CLOSED


def test_a_close_word_as_the_first_message_opens_and_closes_a_conversation() -> None:
    then = CLOSED.when(received("bye", "tchau"))
    assert then.conversation.id == "bye"
    assert then.status is Status.CLOSED
    assert then.waiting == ()


# --------------------------------------------------------------------------------------------- deadlines and windows


def test_the_next_deadline_is_stored_with_each_status() -> None:
    assert PENDING.minutes_until(PENDING.conversation.next_deadline_at_ms) == 48 * 60
    assert ACTIVE.minutes_until(ACTIVE.conversation.next_deadline_at_ms) == 15
    assert IDLE.minutes_until(IDLE.conversation.next_deadline_at_ms) == 24 * 60 - 15
    assert HANDOFF.minutes_until(HANDOFF.conversation.next_deadline_at_ms) == 12 * 60
    assert EXPIRED.conversation.next_deadline_at_ms is None
    assert CLOSED.conversation.next_deadline_at_ms is None


def test_an_active_conversation_with_something_to_do_is_next_looked_at_when_it_expires() -> None:
    waiting = ACTIVE.when(received("m2"))
    assert waiting.minutes_until(waiting.conversation.next_deadline_at_ms) == 24 * 60


def test_a_late_or_repeated_tick_changes_nothing() -> None:
    once = ACTIVE.when(IDLE_AFTER, ticked())
    late = ACTIVE.when(silence(hours=5), ticked(), ticked())
    assert once.conversation == late.conversation
    assert len([row for row in late.rows if row == late.conversation]) == 1


def test_a_tick_before_the_deadline_writes_nothing() -> None:
    assert ACTIVE.when(silence(minutes=14), ticked()).rows == ACTIVE.rows


def test_the_window_stays_open_for_a_day_after_each_counted_message() -> None:
    assert PENDING.minutes_until(PENDING.state.window_closes_at_ms) == 24 * 60
    later = ACTIVE.when(silence(hours=1), received("m2"))
    assert later.minutes_until(later.state.window_closes_at_ms) == 24 * 60


def test_what_we_say_and_what_is_repeated_leave_the_window_alone() -> None:
    then = PENDING.when(silence(hours=1), *answered("r1", "m1"), received("again", sid="SM-m1"))
    assert then.state.window_closes_at_ms == PENDING.state.window_closes_at_ms


def test_the_window_outlives_the_conversation() -> None:
    assert CLOSED.state.window_closes_at_ms == PENDING.state.window_closes_at_ms


# ------------------------------------------------------------------------------------- an act that names its conversation


def acts_on(conversation: str) -> tuple[Fact, ...]:
    return (
        taken(conversation=conversation),
        released(conversation),
        closed(conversation),
        person_replied("p1", conversation=conversation),
    )


@pytest.mark.parametrize("act", acts_on("m1"), ids=("taken", "released", "closed", "replied"))
def test_an_act_never_hits_the_conversation_that_came_after_the_one_it_meant(act: Fact) -> None:
    before = CLOSED.when(received("m2"), taken("bia"))
    assert before.conversation.id == "m2"
    then = before.when(act)
    assert (then.conversation, then.waiting, then.state.replies) == (before.conversation, before.waiting, before.state.replies)


@pytest.mark.parametrize("act", acts_on("m1"), ids=("taken", "released", "closed", "replied"))
@any_ended
def test_an_act_on_a_conversation_that_ended_opens_none(before: History, act: Fact) -> None:
    then = before.when(act)
    assert (then.conversation, then.state.replies) == (before.conversation, before.state.replies)


def test_an_act_that_names_the_open_conversation_counts() -> None:
    told = ACTIVE.when(person_replied("p1", conversation="m1"), taken(conversation="m1"))
    assert (told.status, told.reply("p1").by) == (Status.HANDOFF, "ana")
    assert told.when(released("m1")).status is Status.ACTIVE
    assert told.when(closed("m1")).conversation.closed_by is ClosedBy.PERSON
