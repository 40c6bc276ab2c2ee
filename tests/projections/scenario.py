"""
Given / when / then for the fold: one thread, told as a log.

`given(...)` folds facts and silences into a `History`; `.when(...)` goes on from there; what must be true then is asserted on the
history that comes back. Histories are values, so that two endings can be compared. A fact takes no time: only `silence` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from projections.changes import RESPONDER, SENDER
from projections.conversation import advance, evolve
from projections.policy import MINUTE_MS
from projections.state import (
    Change,
    Conversation,
    DeadLetter,
    Message,
    Part,
    PartitionState,
    PartStatus,
    Reply,
    Status,
    ThreadState,
    Unanswered,
)
from streams.events import (
    AnyEventData,
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
    Rejection,
    ReplyFailed,
    ReplyGenerated,
    SendCancelled,
    SendDisproved,
    SendRejected,
    SendStarted,
    SendUnconfirmed,
)

THREAD = "whatsapp:+14155238886|whatsapp:+5511999990000"
PARTITION = "partition/0"
STARTED_AT_MS = 1_760_000_000_000
WRITTEN_AT = datetime(2030, 1, 1, tzinfo=UTC)
"""The writer's wall clock. It is wrong on purpose: nothing may depend on it."""

SENTENCE = "Something went wrong; a person will look at it."
_OF_PARTITION = (ClockTicked, ClockAdvanced, PolicyChanged)


@dataclass(frozen=True)
class Fact:
    """Something that the log is told; without an id it gets the number of its entry. A person's word has no `cause`."""

    data: AnyEventData
    id: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Silence:
    milliseconds: int


@dataclass(frozen=True)
class History:
    """A thread and its partition after some entries, and every row that the fold wrote on the way."""

    state: ThreadState = field(default_factory=lambda: ThreadState(THREAD, "default"))
    partition: PartitionState = field(default_factory=PartitionState)
    now_ms: int = STARTED_AT_MS
    entries: int = 0
    rows: tuple[Change, ...] = ()

    def when(self, *steps: Fact | Silence) -> "History":
        """This history with more entries after it."""
        history = self
        for step in steps:
            history = history._after(step)
        return history

    def _after(self, step: Fact | Silence) -> "History":
        if isinstance(step, Silence):
            return replace(self, now_ms=self.now_ms + step.milliseconds)
        event = event_of(step, self.entries)
        state, partition = fold(self.state, self.partition, event, self.now_ms)
        rows = (*self.rows, *state.changes)
        return replace(self, state=replace(state, changes=()), partition=partition, entries=self.entries + 1, rows=rows)

    @property
    def conversation(self) -> Conversation:
        assert self.state.conversation is not None
        return self.state.conversation

    @property
    def status(self) -> Status:
        return self.conversation.status

    @property
    def conversations(self) -> Mapping[str, Conversation]:
        """Every conversation that the thread ever had, as its row stands now."""
        return {row.id: row for row in self.rows if isinstance(row, Conversation)}

    @property
    def messages(self) -> Mapping[str, Message]:
        return {row.sid: row for row in self.rows if isinstance(row, Message)}

    @property
    def waiting(self) -> tuple[str, ...]:
        """The events of the messages that wait for an answer."""
        return tuple(message.event for message in self.state.unanswered)

    @property
    def letters(self) -> Mapping[tuple[str, str], DeadLetter]:
        """Every dead letter by group and event, as its row stands now."""
        return {(row.group, row.event): row for row in self.rows if isinstance(row, DeadLetter)}

    def reply(self, name: str) -> Reply:
        return {row.id: row for row in self.rows if isinstance(row, Reply)}[name]

    def part(self, name: str, index: int = 0) -> Part:
        return self.reply(name).parts[index]

    def parts(self, name: str) -> tuple[PartStatus, ...]:
        return tuple(part.status for part in self.reply(name).parts)

    def minutes_until(self, at_ms: int | None) -> float | None:
        """How far away a moment of log time is, by the append clock."""
        return None if at_ms is None else (at_ms - self.now_ms) / MINUTE_MS


def given(*steps: Fact | Silence) -> History:
    """An empty thread, and what the log says about it first."""
    return History().when(*steps)


def event_of(fact: Fact, number: int) -> Event:
    identifier = fact.id or f"entry-{number}"
    return Event(
        id=identifier,
        source="test",
        subject=PARTITION if isinstance(fact.data, _OF_PARTITION) else THREAD,
        time=WRITTEN_AT,
        correlation_id=identifier,
        causation_id=fact.cause,
        data=fact.data,
    )


def fold(state: ThreadState, partition: PartitionState, event: Event, appended_at_ms: int) -> tuple[ThreadState, PartitionState]:
    """One entry, as the projector folds it, except that the thread sees those of the partition also when nothing is due."""
    advanced = advance(partition, event, appended_at_ms)
    return evolve(state, event, advanced), advanced


def with_known(state: ThreadState, messages: Mapping[str, Message]) -> ThreadState:
    return replace(state, known=MappingProxyType(dict(messages)), changes=())


def silence(*, minutes: float = 0, hours: float = 0, milliseconds: int = 0) -> Silence:
    return Silence(round((minutes + hours * 60) * MINUTE_MS) + milliseconds)


# ---------------------------------------------------------------------------------------------------------- the facts


def received(name: str, body: str = "Olá", *, sid: str | None = None) -> Fact:
    """The contact wrote; the event's id is `name`, and the sid too unless it is given."""
    return Fact(MessageReceived(sid=sid or f"SM-{name}", kind="text", body=body, form={}), name)


def generated(reply: str, first: str, last: str | None = None, **more: Any) -> Fact:
    """The AI answered from one message to another. The event's id is that of the reply with `!` after it."""
    parts = more.pop("parts", ("Hello.",))
    data = ReplyGenerated(reply=reply, first_event=first, last_event=last or first, parts=parts, **more)
    return Fact(data, event_id_of(reply))


def event_id_of(reply: str) -> str:
    return f"{reply}!"


def failed(reply: str, first: str, last: str | None = None, *, sentence: str | None = SENTENCE, gives_up: bool = True) -> Fact:
    data = ReplyFailed(
        reply=reply,
        first_event=first,
        last_event=last or first,
        error="ModelTimeout",
        attempts=3,
        fingerprint="f1",
        sentence=sentence,
        gives_up=gives_up,
    )
    return Fact(data, event_id_of(reply))


def person_replied(reply: str, *parts: str, conversation: str | None = None) -> Fact:
    said = PersonReplied(reply=reply, parts=parts or ("I am a person.",), by="ana", conversation=conversation)
    return Fact(said, event_id_of(reply))


def started(reply: str, attempt: str, part: int = 0) -> Fact:
    return Fact(SendStarted(reply=reply, part=part, attempt=attempt))


def sent(reply: str, attempt: str, part: int = 0, *, sid: str | None = None) -> Fact:
    """Twilio took the part; its sid is that of the attempt unless it is given."""
    return Fact(MessageSent(reply=reply, part=part, attempt=attempt, sid=sid or f"SM-{attempt}"))


def delivered_to_twilio(reply: str, attempt: str, part: int = 0) -> tuple[Fact, Fact]:
    """Started and sent."""
    return started(reply, attempt, part), sent(reply, attempt, part)


def rejected(reply: str, attempt: str | None, part: int = 0, **more: Any) -> Fact:
    return Fact(SendRejected(reply=reply, part=part, attempt=attempt, **more))


def window_closed(reply: str, attempt: str | None, part: int = 0) -> Fact:
    return rejected(reply, attempt, part, code=63016, reason=Rejection.WINDOW_CLOSED)


def disproved(reply: str, attempt: str, part: int = 0, code: int | None = None) -> Fact:
    return Fact(SendDisproved(reply=reply, part=part, attempt=attempt, code=code))


def unconfirmed(reply: str, attempt: str, part: int = 0) -> Fact:
    return Fact(SendUnconfirmed(reply=reply, part=part, attempt=attempt))


def cancelled(reply: str, attempt: str, part: int = 0) -> Fact:
    return Fact(SendCancelled(reply=reply, part=part, attempt=attempt))


def by_a_handler(fact: Fact) -> Fact:
    """The same, as a handler tells it."""
    return replace(fact, cause="what it worked on")


def status(attempt: str | None, status: str, *, code: int | None = None, sid: str | None = None) -> Fact:
    """A callback that carried this attempt, for its sid unless another one is given."""
    return Fact(MessageStatusChanged(sid=sid or f"SM-{attempt}", status=status, error_code=code, attempt=attempt))


def taken(by: str = "ana", *, conversation: str | None = None) -> Fact:
    return Fact(ConversationTaken(by=by, conversation=conversation))


def released(conversation: str | None = None) -> Fact:
    return Fact(ConversationReleased(by="ana", conversation=conversation))


def closed(conversation: str | None = None) -> Fact:
    return Fact(ConversationClosed(by="ana", conversation=conversation))


def ticked() -> Fact:
    return Fact(ClockTicked(nominal=WRITTEN_AT))


def advanced(*, minutes: float) -> Fact:
    """The development clock runs this far ahead from here on."""
    return Fact(ClockAdvanced(offset_ms=round(minutes * MINUTE_MS)))


def policy(**settings: Any) -> Fact:
    return Fact(PolicyChanged(**settings))


def attempt_failed(event: str, group: str = RESPONDER) -> Fact:
    return Fact(AttemptFailed(event=event, group=group, error="ValueError"))


def attempt_started(event: str, group: str = RESPONDER) -> Fact:
    return Fact(AttemptStarted(event=event, group=group))


def attempt_paused(event: str, group: str = RESPONDER) -> Fact:
    return Fact(AttemptPaused(event=event, group=group))


def dead_lettered(event: str, group: str = RESPONDER) -> Fact:
    return Fact(EventDeadLettered(event=event, group=group, attempts=5, error="ValueError", fingerprint="f2"))


def redriven(event: str, group: str = RESPONDER) -> Fact:
    return Fact(RedriveRequested(event=event, group=group, by="ana"))


def discarded(event: str, group: str = RESPONDER) -> Fact:
    return Fact(DeadLetterDiscarded(event=event, group=group, by="ana"))


def redriven_reply(reply: str) -> Fact:
    return redriven(event_id_of(reply), SENDER)


def again(fact: Fact, name: str) -> Fact:
    """The same fact in another event, as a process that lost its answer appends it."""
    return replace(fact, id=name)


def answered(reply: str, first: str, last: str | None = None, **more: Any) -> tuple[Fact, Fact, Fact]:
    """An answer of one part that was generated, started and sent."""
    return generated(reply, first, last, **more), *delivered_to_twilio(reply, f"{reply}-a")


def numbers(covers: tuple[Unanswered, ...]) -> tuple[int, ...]:
    return tuple(message.number for message in covers)
