"""
A thread's story, told by folding its events again: what each changed, and when silence did. Pure.

Ticks are not read: there may be millions of them, and between two events of a thread they can change it only at a deadline that
is known from its state. So silence is folded as one tick exactly at each deadline, under the rules of that time; the
conversation becomes idle or expired at the same moment of log time as it did when a later tick showed it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from operations.changes import changes_between, releaser_or_closer
from operations.durations import how_long
from projections.conversation import advance, evolve
from projections.deadlines import next_deadline_ms
from projections.state import Message, PartitionState, ThreadState
from streams.events import AttemptFailed, ClockAdvanced, ClockTicked, Event, MessageStatusChanged
from streams.partitions import START

SILENCE = "silence"
"""Stands where an event's name would: no event of the thread, but that none came."""


@dataclass(frozen=True, slots=True)
class Archived:
    """An entry as the archive has it; `skipped` says why it was never folded into the thread, if it was not."""

    event: Event
    appended_at_ms: int
    log_time_ms: int
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """
    One event, or a silence that was long enough, and what it changed: nothing if it was known already or came too late.

    `at_ms` is log time. `appended_at_ms` is without any development offset; of a silence, when it was to be noticed. A silence
    has no `event_id`. `message` is the sid of the message whose status the event tells.
    """

    event_id: str
    name: str
    at_ms: int
    appended_at_ms: int
    changes: tuple[str, ...]
    message: str = ""


@dataclass(slots=True)
class Refold:
    """
    Where the telling stands: it goes on after `position` of `epoch`.

    `known` holds the messages by sid, also those from before the beginning. What cannot be folded is the last step: whoever told
    on would tell of a thread that is not the read model's.
    """

    state: ThreadState
    epoch: int = 1
    position: int = START
    known: dict[str, Message] = field(default_factory=dict)
    partition: PartitionState = field(default_factory=PartitionState)
    steps: list[Step] = field(default_factory=list)
    has_stopped: bool = False

    def take(self, entries: Iterable[Archived]) -> None:
        """Fold entries in the order of the log: the thread's own, and whatever moves its partition's clock or rules."""
        for entry in entries:
            self.pass_silence(min(entry.log_time_ms, entry.appended_at_ms + self.partition.offset_ms))
            if self.has_stopped:
                return
            partition = advance(self.partition, entry.event, entry.appended_at_ms)
            self.partition = replace(partition, offset_ms=entry.log_time_ms - partition.appended_at_ms)
            self._take(entry)

    def pass_silence(self, until_ms: int) -> None:
        """Show the thread how late it is, at each deadline up to a log time."""
        while not self.has_stopped and (deadline := next_deadline_ms(self.state)) is not None and deadline <= until_ms:
            appended_at_ms = deadline - self.partition.offset_ms
            partition = replace(self.partition, appended_at_ms=appended_at_ms, policy_before=self.partition.policy)
            changes = self._folded(_tick(deadline), partition)
            self.steps.append(Step("", SILENCE, deadline, appended_at_ms, changes))

    def _take(self, entry: Archived) -> None:
        event = entry.event
        changes = (f"skipped: {entry.skipped}",) if entry.skipped else self._folded(event, self.partition)
        match event.data:
            case ClockAdvanced():
                changes = (f"clock {how_long(self.partition.offset_ms // 1000)} ahead", *changes)
            case AttemptFailed(group=group, error=error):
                changes = (f"the {group} failed: {error}", *changes)
        if changes or event.subject == self.state.thread:
            message = event.data.sid if isinstance(event.data, MessageStatusChanged) else ""
            self.steps.append(Step(event.id, event.data.name, entry.log_time_ms, entry.appended_at_ms, changes, message))

    def _folded(self, event: Event, partition: PartitionState) -> tuple[str, ...]:
        try:
            return self._evolve(event, partition)
        except Exception as error:  # noqa: BLE001 - the projector passed it over, whatever it was; a person must see the rest
            self.has_stopped = True
            return (f"cannot be folded: {type(error).__name__}",)

    def _evolve(self, event: Event, partition: PartitionState) -> tuple[str, ...]:
        sid = getattr(event.data, "sid", None)
        known = {sid: self.known[sid]} if sid in self.known else {}
        before = replace(self.state, known=MappingProxyType(known), changes=())
        after = evolve(before, event, partition)
        self.state = after
        self.known |= after.known
        return changes_between(before, after, partition.log_time_ms, by=releaser_or_closer(event.data))


def _tick(at_ms: int) -> Event:
    """What a clock would have appended at that very moment."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Event(id="", source="", subject="", time=moment, correlation_id="", data=ClockTicked(nominal=moment))
