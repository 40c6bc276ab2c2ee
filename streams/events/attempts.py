"""What a consumer group tried in vain, gave up, and what a person decided about it."""

from typing import ClassVar

from streams.events.event_data import EventData


class AttemptStarted(EventData):
    """A group handles this event alone, because workers ended while they handled it or a neighbour."""

    name: ClassVar[str] = "attempt.started"

    event: str
    group: str


class AttemptPaused(EventData):
    """
    A group that handles this event alone only waits from here on, or has left it: what ends its worker now is something else.

    It takes the start before it back.
    """

    name: ClassVar[str] = "attempt.paused"

    event: str
    group: str


class AttemptFailed(EventData):
    """A group's handler failed on this event; counted by the fold, so that the count survives the worker."""

    name: ClassVar[str] = "attempt.failed"

    event: str
    group: str
    error: str


class EventDeadLettered(EventData):
    """A group gave this event up."""

    name: ClassVar[str] = "event.dead_lettered"

    event: str
    group: str
    attempts: int
    error: str
    fingerprint: str


class RedriveRequested(EventData):
    """A person asks a group to handle a dead letter again."""

    name: ClassVar[str] = "redrive.requested"

    event: str
    group: str
    by: str


class DeadLetterDiscarded(EventData):
    """A person decided that nothing will be done about a dead letter."""

    name: ClassVar[str] = "dead_letter.discarded"

    event: str
    group: str
    by: str
    reason: str | None = None
