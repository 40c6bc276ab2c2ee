"""Log time and policy: no wall clock reaches the state, and a change of settings changes nothing in the past."""

from projections.conversation import advance
from projections.state import PartitionState, Status
from streams.events import AfterHandoff
from tests.projections.scenario import (
    STARTED_AT_MS,
    advanced,
    again,
    answered,
    event_of,
    generated,
    given,
    policy,
    received,
    silence,
    started,
    taken,
    ticked,
)

ACTIVE = given(received("m1"), *answered("r1", "m1"))
QUICK = policy(idle_after_minutes=1, expire_after_minutes=2, expire_pending_after_minutes=3, handoff_expires_after_minutes=4)


# ------------------------------------------------------------------------------------------------------------- time


def test_log_time_never_goes_back() -> None:
    partition = advance(advance(PartitionState(), None, 500), None, 400)
    assert partition.log_time_ms == 500


def test_what_cannot_be_decoded_still_moves_the_clock() -> None:
    assert advance(PartitionState(), None, 500).log_time_ms == 500


def test_an_advanced_clock_runs_ahead_of_the_append_time() -> None:
    then = ACTIVE.when(advanced(minutes=15))
    assert then.status is Status.IDLE
    assert then.partition.log_time_ms == then.now_ms + 15 * 60_000


def test_an_advance_is_absolute() -> None:
    assert ACTIVE.when(advanced(minutes=8), advanced(minutes=8)).status is Status.ACTIVE


def test_the_advanced_clock_never_goes_back() -> None:
    assert ACTIVE.when(advanced(minutes=10), advanced(minutes=2)).partition.offset_ms == 10 * 60_000


def test_an_advance_and_a_silence_add_up() -> None:
    assert ACTIVE.when(advanced(minutes=10), silence(minutes=5), ticked()).status is Status.IDLE


def test_a_send_is_dated_by_the_append_time_without_the_offset() -> None:
    then = given(advanced(minutes=600), received("m1"), generated("r1", "m1"), silence(minutes=1), started("r1", "a1"))
    attempt = then.part("r1").attempts[0]
    assert attempt.started_at_ms == STARTED_AT_MS + 60_000
    assert then.reply("r1").at_ms == STARTED_AT_MS + 600 * 60_000


def test_a_month_of_timeouts_needs_no_waiting() -> None:
    then = given(received("m1"), advanced(minutes=60 * 24 * 30), received("m2"))
    assert then.conversations["m1"].status is Status.EXPIRED
    assert then.conversation.previous_conversation_id == "m1"


def test_a_message_that_beats_the_tick_finds_the_state_that_one_after_it_finds() -> None:
    for hours in (0.2, 0.25, 0.3, 24, 24.1, 72):
        before_tick = ACTIVE.when(silence(hours=hours), received("m2"), ticked())
        after_tick = ACTIVE.when(silence(hours=hours), ticked(), received("m2"))
        assert before_tick.conversations == after_tick.conversations, hours
        assert before_tick.waiting == after_tick.waiting, hours


def test_what_changes_at_a_deadline_is_dated_by_the_deadline() -> None:
    then = ACTIVE.when(silence(hours=24 * 30), ticked())
    assert then.conversation.ended_at_ms == ACTIVE.conversation.ends_at_ms


def test_every_deadline_that_was_passed_is_applied_in_its_turn() -> None:
    then = ACTIVE.when(taken(), received("m2"), silence(hours=12 + 24), ticked())
    assert then.status is Status.EXPIRED
    assert then.conversation.ended_at_ms == ACTIVE.now_ms + (12 + 24) * 3_600_000
    assert ("responder", "m2") in then.letters


# ----------------------------------------------------------------------------------------------------------- policy


def test_built_in_defaults_hold_until_the_first_policy() -> None:
    assert ACTIVE.minutes_until(ACTIVE.conversation.idle_at_ms) == 15
    assert ACTIVE.minutes_until(ACTIVE.conversation.ends_at_ms) == 24 * 60


def test_a_policy_holds_for_what_comes_after_it() -> None:
    pending = given(QUICK, received("m1"))
    assert pending.minutes_until(pending.conversation.ends_at_ms) == 3
    active = pending.when(*answered("r1", "m1"))
    assert active.minutes_until(active.conversation.idle_at_ms) == 1
    assert active.minutes_until(active.conversation.ends_at_ms) == 2
    handoff = active.when(taken())
    assert handoff.minutes_until(handoff.conversation.ends_at_ms) == 4


def test_deadlines_already_set_stay() -> None:
    then = ACTIVE.when(QUICK)
    assert then.conversation == ACTIVE.conversation
    assert then.when(silence(minutes=14), ticked()).status is Status.ACTIVE


def test_the_next_activity_counts_by_the_new_policy() -> None:
    then = ACTIVE.when(QUICK, received("m2"), *answered("r2", "m2"), silence(minutes=1), ticked())
    assert then.status is Status.IDLE


def test_a_policy_is_partial_nowhere_what_it_does_not_say_is_the_default() -> None:
    then = given(QUICK, policy(idle_after_minutes=5), received("m1"))
    assert then.minutes_until(then.conversation.ends_at_ms) == 48 * 60


def test_a_repeated_policy_does_not_undo_the_one_after_it() -> None:
    first, second = again(policy(idle_after_minutes=1), "p1"), again(policy(idle_after_minutes=2), "p2")
    assert given(first, second, first).partition.policy == given(first, second).partition.policy


def test_a_handoff_that_ran_out_before_a_change_of_policy_ended_by_the_policy_before_it() -> None:
    overdue = ACTIVE.when(taken(), received("m2"), silence(hours=13))
    change = policy(after_handoff=AfterHandoff.EXPIRED)
    assert overdue.when(change).conversations == overdue.when(ticked(), change).conversations
    assert overdue.when(change).status is Status.ACTIVE


def test_close_words_of_a_later_policy_close_nothing_that_was_said_before() -> None:
    then = given(received("m1", "tchau"), policy(close_words=("tchau",)))
    assert then.status is Status.PENDING
    assert then.waiting == ("m1",)


def test_events_of_a_partition_are_not_counted_as_events_of_the_thread() -> None:
    event = event_of(ticked(), 1)
    assert event.id not in ACTIVE.when(again(ticked(), event.id)).state.recent_events
