"""
The catalogue: every fact that the log can hold, in the past tense.

An event is a CloudEvents envelope around one of these models. The golden files in `tests/streams/golden/` hold one event per type
and version and are never edited: a change of shape is a new version with an upcaster from the one before. No broker position
ever stands in an event, so that a log can be copied to another engine.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SkipValidation


class EventData(BaseModel):
    """What an event says. `name` and `version` make the envelope's type: `prosa.message.received.v1`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ClassVar[str]
    version: ClassVar[int] = 1


# --------------------------------------------------------------------------------------------------------- messages


class Media(BaseModel):
    """A file that came with a message; the address needs Twilio's credentials."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    content_type: str


class MessageReceived(EventData):
    """A contact wrote. `body` is always readable: what is no text stands there as a placeholder such as `[image]`."""

    name: ClassVar[str] = "message.received"

    sid: str
    kind: str
    body: str
    profile_name: str | None = None
    media: tuple[Media, ...] = ()
    choice: str | None = None
    """The payload of a pressed button, or the id of a chosen list item."""
    reply_to_sid: str | None = None
    form: dict[str, tuple[str, ...]]
    """The webhook's form as it came, unknown fields included."""


class MessageStatusChanged(EventData):
    """WhatsApp told how far one of our messages came. Callbacks are lost, late, doubled and out of order."""

    name: ClassVar[str] = "message.status_changed"

    sid: str
    status: str
    error_code: int | None = None
    attempt: str | None = None
    """The send attempt that our callback address carried: proof that this attempt reached Twilio."""
    form: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class MessageSent(EventData):
    """Twilio accepted a part of a reply and named it `sid`."""

    name: ClassVar[str] = "message.sent"

    reply: str
    part: int
    attempt: str
    sid: str
    status: str = "queued"


# ---------------------------------------------------------------------------------------------------------- replies


class ReplyGenerated(EventData):
    """
    The AI answered the inbound messages from `first_event` to `last_event`, both included.

    The fold accepts it or calls it superseded; a `final` one is accepted even if newer inbound arrived meanwhile.
    """

    name: ClassVar[str] = "reply.generated"

    reply: str
    first_event: str
    last_event: str
    parts: tuple[str, ...] = Field(min_length=1)
    final: bool = False
    closes: bool = False
    hands_off: bool = False
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class ReplyFailed(EventData):
    """
    No model could answer these inbound messages: each becomes a dead letter of the responder.

    `sentence`, where there is one, is what the contact is told instead; it answers nothing. It travels in this event, so that
    no crash can come between the failure and the sentence.
    """

    name: ClassVar[str] = "reply.failed"

    reply: str
    first_event: str
    last_event: str
    error: str
    attempts: int
    fingerprint: str
    sentence: str | None = None


class PersonReplied(EventData):
    """A person answered. Always accepted; it answers everything that the contact wrote before."""

    name: ClassVar[str] = "person.replied"

    reply: str
    parts: tuple[str, ...] = Field(min_length=1)
    by: str


# ------------------------------------------------------------------------------------------------------------ sends


class SendStarted(EventData):
    """Somebody is about to call Twilio. The fold grants the part to the first open attempt in log order."""

    name: ClassVar[str] = "send.started"

    reply: str
    part: int
    attempt: str


class Rejection(StrEnum):
    """Why a part will not be sent; the sender's error table maps Twilio's codes to these."""

    WINDOW_CLOSED = "window_closed"
    UNREACHABLE = "unreachable"
    OPTED_OUT = "opted_out"
    LIMIT = "limit"
    CONFIGURATION = "configuration"
    THROTTLED = "throttled"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


class SendRejected(EventData):
    """The part was not delivered and will not be tried again; `attempt` is empty where nothing was called."""

    name: ClassVar[str] = "send.rejected"

    reply: str
    part: int
    attempt: str | None = None
    code: int | None = None
    reason: Rejection = Rejection.UNKNOWN


class SendDisproved(EventData):
    """It is proven that this attempt sent nothing; another may be granted."""

    name: ClassVar[str] = "send.disproved"

    reply: str
    part: int
    attempt: str
    code: int | None = None


class SendUnconfirmed(EventData):
    """Nobody can tell whether this attempt sent the part: a person decides."""

    name: ClassVar[str] = "send.unconfirmed"

    reply: str
    part: int
    attempt: str


class SendCancelled(EventData):
    """The holder of this attempt gave it up before calling; another may be granted."""

    name: ClassVar[str] = "send.cancelled"

    reply: str
    part: int
    attempt: str


# ---------------------------------------------------------------------------------------------------- conversations


class ConversationTaken(EventData):
    """A person took the conversation over; the AI is silent."""

    name: ClassVar[str] = "conversation.taken"

    by: str


class ConversationReleased(EventData):
    """The person gave the conversation back; what came before counts as answered."""

    name: ClassVar[str] = "conversation.released"

    by: str


class ConversationClosed(EventData):
    """A person closed the conversation."""

    name: ClassVar[str] = "conversation.closed"

    by: str


# --------------------------------------------------------------------------------------------------------- attempts


class AttemptStarted(EventData):
    """A group handles this event alone, because workers ended while they handled it or a neighbour."""

    name: ClassVar[str] = "attempt.started"

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


# -------------------------------------------------------------------------------------------- partitions, not threads


class ClockTicked(EventData):
    """Time passed. The log time of this event is what counts; `nominal` says which tick it was."""

    name: ClassVar[str] = "clock.ticked"

    nominal: datetime


class ClockAdvanced(EventData):
    """Development only: log time runs `offset_ms` ahead of the append time from here on. Absolute; it never goes back."""

    name: ClassVar[str] = "clock.advanced"

    offset_ms: int = Field(ge=0)


class AfterHandoff(StrEnum):
    """What a conversation becomes when a handoff runs out."""

    ACTIVE = "active"
    EXPIRED = "expired"


class PolicyChanged(EventData):
    """The rules that the fold obeys from here on; deadlines already set stay."""

    name: ClassVar[str] = "policy.changed"

    idle_after_minutes: float = Field(15, gt=0)
    expire_after_minutes: float = Field(1440, gt=0)
    expire_pending_after_minutes: float = Field(2880, gt=0)
    handoff_expires_after_minutes: float = Field(720, gt=0)
    after_handoff: AfterHandoff = AfterHandoff.ACTIVE
    close_words: tuple[str, ...] = ()


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
    partition) and the partition key. `time` is the writer's wall clock, for people; state is shaped by log time only.
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
