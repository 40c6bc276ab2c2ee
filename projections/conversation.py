"""
The fold: what a thread is, after one more event.

Pure: the same log gives the same state, whoever folds it and whenever. The live projector, the rebuild and the tests all call
`evolve`. Time is log time only, and each event first applies the deadlines that it has passed, so that a message that beats
the tick finds the same state as one that comes after it.
"""

from dataclasses import replace
from typing import assert_never

from projections import dead_letters, proof, replies, sends
from projections.changes import RECENT_EVENTS, with_conversation, with_message
from projections.dead_letters import open_conversation
from projections.deadlines import apply_deadlines, next_deadline_ms, slide
from projections.lateness import written_at_ms
from projections.policy import WINDOW_MS, Policy, closes, policy_of
from projections.state import (
    ClosedBy,
    Message,
    PartitionState,
    Status,
    ThreadState,
    Unanswered,
)
from streams.events import (
    AttemptFailed,
    AttemptPaused,
    AttemptStarted,
    ClockAdvanced,
    ClockTicked,
    ConversationClosed,
    ConversationReleased,
    ConversationTaken,
    DeadLetterDiscarded,
    Event,
    EventDeadLettered,
    MessageReceived,
    MessageSent,
    MessageStatusChanged,
    PersonReplied,
    PolicyChanged,
    RedriveRequested,
    ReplyFailed,
    ReplyGenerated,
    SendCancelled,
    SendDisproved,
    SendRejected,
    SendStarted,
    SendUnconfirmed,
)


def advance(partition: PartitionState, event: Event | None, appended_at_ms: int) -> PartitionState:
    """Move a partition's clock to an entry, and take up a new offset or policy. `event` is None for what cannot be decoded."""
    appended_at_ms = max(partition.appended_at_ms, appended_at_ms)
    partition = replace(partition, appended_at_ms=appended_at_ms, policy_before=partition.policy)
    if event is None or not isinstance(event.data, ClockAdvanced | PolicyChanged) or event.id in partition.recent_events:
        return partition
    partition = replace(partition, recent_events=(*partition.recent_events, event.id)[-RECENT_EVENTS:])
    if isinstance(event.data, ClockAdvanced):
        return replace(partition, offset_ms=max(partition.offset_ms, event.data.offset_ms))
    return replace(partition, policy=policy_of(event.data))


def evolve(state: ThreadState, event: Event, partition: PartitionState) -> ThreadState:
    """
    Fold one event into its thread; `partition` is already advanced to it. A repeated event changes nothing.

    Threads with a deadline behind them must see every tick, advance and change of policy: the last one is not to bend the past.
    """
    state = apply_deadlines(state, partition.log_time_ms, partition.policy_before)
    if event.subject == state.thread and event.id not in state.recent_events:
        state = _apply(state, event, partition)
        state = replace(state, recent_events=(*state.recent_events, event.id)[-RECENT_EVENTS:])
    return _note_deadline(state)


def _apply(state: ThreadState, event: Event, partition: PartitionState) -> ThreadState:
    now_ms, policy = partition.log_time_ms, partition.policy
    match event.data:
        case (PersonReplied() | ConversationTaken() | ConversationReleased() | ConversationClosed()) as data if _misses(
            state, data
        ):
            return state
        case MessageReceived() as data:
            return _on_received(state, event, data, partition)
        case MessageStatusChanged() as data:
            return proof.on_status_changed(state, event, data, now_ms)
        case MessageSent() as data:
            return sends.on_sent(state, event, data, partition, policy)
        case ReplyGenerated() as data:
            return replies.on_generated(state, event, data, now_ms)
        case ReplyFailed() as data:
            return dead_letters.on_reply_failed(state, event, data, now_ms, policy)
        case PersonReplied() as data:
            return _on_person_replied(state, event, data, now_ms, policy)
        case SendStarted() as data:
            return sends.on_started(state, data, partition.appended_at_ms)
        case SendRejected() as data:
            return sends.on_rejected(state, event, data, now_ms, policy)
        case SendDisproved() | SendCancelled() as data:
            return sends.on_unsent(state, event, data, now_ms)
        case SendUnconfirmed() as data:
            return sends.on_unconfirmed(state, data, now_ms, policy)
        case ConversationTaken() as data:
            return _on_taken(state, data, now_ms, policy)
        case ConversationReleased():
            return _on_released(state, now_ms, policy)
        case ConversationClosed():
            return _closed_by(ClosedBy.PERSON, state, now_ms)
        case AttemptStarted() | AttemptPaused() | AttemptFailed() as data:
            return dead_letters.on_attempt(state, data)
        case EventDeadLettered() as data:
            return dead_letters.on_dead_lettered(state, data, now_ms, policy)
        case RedriveRequested() as data:
            return dead_letters.on_redrive(state, event, data, now_ms, policy)
        case DeadLetterDiscarded() as data:
            return dead_letters.on_discarded(state, data)
        case ClockTicked() | ClockAdvanced() | PolicyChanged():
            return state
        case _:
            assert_never(event.data)


def _misses(state: ThreadState, act: PersonReplied | ConversationTaken | ConversationReleased | ConversationClosed) -> bool:
    """Whether a person meant a conversation that is not open any more: the act must not hit the one that came after it."""
    conversation = state.open_conversation
    return act.conversation is not None and (conversation is None or conversation.id != act.conversation)


def _on_received(state: ThreadState, event: Event, data: MessageReceived, partition: PartitionState) -> ThreadState:
    """
    Count a message once per sid; open a conversation where none is; close it where the contact says so.

    A callback that spoke of this sid before, whatever it meant, does not make it a repeat. A message that comes late counts from
    now on, but WhatsApp's window counts from when it was written, and a close word from before something else happened closes
    nothing.
    """
    known = state.known.get(data.sid)
    if known and not known.is_rumour:
        return state
    now_ms, policy, written_ms = partition.log_time_ms, partition.policy, written_at_ms(event, partition)
    is_overtaken = state.open_conversation is not None and written_ms < state.open_conversation.last_activity_at_ms
    if state.open_conversation is None:
        state = open_conversation(state, event, now_ms, policy)
    state = replies.touch(state, now_ms, policy)
    number, closes_at_ms = state.inbound_count + 1, max(state.window_closes_at_ms, written_ms + WINDOW_MS)
    state = replace(state, inbound_count=number, window_closes_at_ms=closes_at_ms)
    state = with_message(state, _inbound(state, event, data, now_ms))
    if closes(policy, data.body) and not is_overtaken:
        return _closed_by(ClosedBy.CONTACT, state, now_ms)
    return replace(state, unanswered=(*state.unanswered, Unanswered(event.id, number, now_ms)))


def _inbound(state: ThreadState, event: Event, data: MessageReceived, now_ms: int) -> Message:
    return Message(
        sid=data.sid,
        thread=state.thread,
        direction="inbound",
        status="received",
        at_ms=now_ms,
        event=event.id,
        conversation_id=state.conversation.id if state.conversation else None,
        kind=data.kind,
        body=data.body,
        profile_name=data.profile_name,
        choice=data.choice,
        media=tuple(media.model_dump() for media in data.media),
    )


def _on_person_replied(state: ThreadState, event: Event, data: PersonReplied, now_ms: int, policy: Policy) -> ThreadState:
    """A person may write first, or go on after the end: that opens a conversation."""
    if state.reply(data.reply):
        return state
    if state.open_conversation is None:
        state = open_conversation(state, event, now_ms, policy)
    return replies.on_person_replied(state, event, data, now_ms, policy)


def _on_taken(state: ThreadState, data: ConversationTaken, now_ms: int, policy: Policy) -> ThreadState:
    """A person answers from here on; what the AI had not begun to say is withdrawn."""
    conversation = state.open_conversation
    if conversation is None:
        return state
    taken = replace(conversation, status=Status.HANDOFF, taken_by=data.by)
    return with_conversation(replies.withdraw_unstarted(state, now_ms), slide(taken, now_ms, policy))


def _on_released(state: ThreadState, now_ms: int, policy: Policy) -> ThreadState:
    """The AI answers again; what came before counts as answered by the person."""
    conversation = state.open_conversation
    if conversation is None or conversation.status is not Status.HANDOFF:
        return state
    active = replace(conversation, status=Status.ACTIVE, taken_by=None)
    return with_conversation(replies.settle_inbound(state), slide(active, now_ms, policy))


def _closed_by(closed_by: ClosedBy, state: ThreadState, now_ms: int) -> ThreadState:
    """Somebody ends the open conversation; what the AI had not begun to say is withdrawn."""
    if state.open_conversation is None:
        return state
    return replies.close(replies.withdraw_unstarted(state, now_ms), closed_by, now_ms)


def _note_deadline(state: ThreadState) -> ThreadState:
    deadline = next_deadline_ms(state)
    if state.conversation is None or state.conversation.next_deadline_at_ms == deadline:
        return state
    return with_conversation(state, replace(state.conversation, next_deadline_at_ms=deadline))
