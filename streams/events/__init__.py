"""
The catalogue: every fact that the log can hold, in the past tense.

An event is a CloudEvents envelope around one of these models. The golden files in `tests/streams/golden/` hold one event per type
and version and are never edited: a change of shape is a new version with an upcaster from the one before. No broker position
ever stands in an event, so that a log can be copied to another engine.
"""

from datetime import datetime
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, SkipValidation

from streams.events.attempts import (
    AttemptFailed,
    AttemptPaused,
    AttemptStarted,
    DeadLetterDiscarded,
    EventDeadLettered,
    RedriveRequested,
)
from streams.events.conversations import ConversationClosed, ConversationReleased, ConversationTaken
from streams.events.event_data import EventData
from streams.events.messages import Media, MessageReceived, MessageSent, MessageStatusChanged
from streams.events.replies import PersonReplied, ReplyFailed, ReplyGenerated
from streams.events.sends import Rejection, SendCancelled, SendDisproved, SendRejected, SendStarted, SendUnconfirmed
from streams.events.time import AfterHandoff, ClockAdvanced, ClockTicked, PolicyChanged

__all__ = [
    "CATALOGUE",
    "AfterHandoff",
    "AnyEventData",
    "AttemptFailed",
    "AttemptPaused",
    "AttemptStarted",
    "ClockAdvanced",
    "ClockTicked",
    "ConversationClosed",
    "ConversationReleased",
    "ConversationTaken",
    "DeadLetterDiscarded",
    "Event",
    "EventData",
    "EventDeadLettered",
    "Media",
    "MessageReceived",
    "MessageSent",
    "MessageStatusChanged",
    "PersonReplied",
    "PolicyChanged",
    "RedriveRequested",
    "Rejection",
    "ReplyFailed",
    "ReplyGenerated",
    "SendCancelled",
    "SendDisproved",
    "SendRejected",
    "SendStarted",
    "SendUnconfirmed",
]

AnyEventData: TypeAlias = (
    MessageReceived
    | MessageStatusChanged
    | MessageSent
    | ReplyGenerated
    | ReplyFailed
    | PersonReplied
    | SendStarted
    | SendRejected
    | SendDisproved
    | SendUnconfirmed
    | SendCancelled
    | ConversationTaken
    | ConversationReleased
    | ConversationClosed
    | AttemptStarted
    | AttemptPaused
    | AttemptFailed
    | EventDeadLettered
    | RedriveRequested
    | DeadLetterDiscarded
    | ClockTicked
    | ClockAdvanced
    | PolicyChanged
)

CATALOGUE: dict[str, type[AnyEventData]] = {data.name: data for data in AnyEventData.__args__}
"""Each event's name and its newest model."""


class Event(BaseModel):
    """
    One fact, with its CloudEvents attributes.

    `id` is a ULID made where the fact was seen; `subject` is the thread (or `partition/3` for what concerns a whole
    partition) and the partition key. `time` is the writer's wall clock, for people; state is shaped by log time only. A message
    that the reconciler found tells Twilio's date there: see `projections/lateness.py`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    subject: str
    time: datetime
    correlation_id: str
    causation_id: str | None = None
    owner: str = "default"
    traceparent: str | None = None
    data: SkipValidation[AnyEventData]

    @property
    def type(self) -> str:
        """The CloudEvents type, for example `prosa.message.received.v1`."""
        return f"prosa.{self.data.name}.v{self.data.version}"
