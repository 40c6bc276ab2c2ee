"""What the log says about one thread, and about one partition. Times are milliseconds of log time since 1970."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from projections.policy import Policy


class Status(StrEnum):
    """Where a conversation stands."""

    PENDING = "pending"
    ACTIVE = "active"
    IDLE = "idle"
    HANDOFF = "handoff"
    EXPIRED = "expired"
    CLOSED = "closed"


ENDED = frozenset({Status.EXPIRED, Status.CLOSED})
ANSWERED_BY_AI = frozenset({Status.PENDING, Status.ACTIVE, Status.IDLE})


class ClosedBy(StrEnum):
    CONTACT = "contact"
    AI = "ai"
    PERSON = "person"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One sitting on a thread; its id is the id of the event that opened it."""

    id: str
    thread: str
    owner: str
    status: Status
    opened_at_ms: int
    last_activity_at_ms: int
    previous_conversation_id: str | None = None
    closed_by: ClosedBy | None = None
    ended_at_ms: int | None = None
    taken_by: str | None = None
    idle_at_ms: int | None = None
    """When an active one becomes idle, if nothing waits for an answer then."""
    ends_at_ms: int | None = None
    """When it expires, or its handoff runs out."""
    next_deadline_at_ms: int | None = None

    @property
    def is_open(self) -> bool:
        return self.status not in ENDED


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An inbound message that waits for an answer; `number` counts the thread's inbound messages."""

    event: str
    number: int
    at_ms: int


class Outcome(StrEnum):
    """How a send attempt ended."""

    SENT = "sent"
    REJECTED = "rejected"
    DISPROVED = "disproved"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One granted try to send a part. While it has no outcome, nobody else may call Twilio for this part."""

    id: str
    started_at_ms: int
    """The append time of its start, without any development offset: it is compared with Twilio's clock."""
    outcome: Outcome | None = None
    proof_sid: str | None = None
    """A callback carried this attempt: it reached Twilio, under this sid."""
    failed_code: int | None = None
    """Twilio took it, and reported later that it was not delivered; empty again if it was seen to arrive after all."""


class PartStatus(StrEnum):
    OPEN = "open"
    STARTED = "started"
    SENT = "sent"
    REJECTED = "rejected"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Part:
    """One WhatsApp message of a reply."""

    text: str
    status: PartStatus = PartStatus.OPEN
    attempts: tuple[Attempt, ...] = ()

    @property
    def holder(self) -> Attempt | None:
        """The one attempt that may call Twilio now."""
        return self.attempts[-1] if self.status is PartStatus.STARTED else None


class ReplyKind(StrEnum):
    ANSWER = "answer"
    FAILURE_SENTENCE = "failure_sentence"
    PERSON = "person"


class ReplyStatus(StrEnum):
    """`accepted` while something of it is still to be sent."""

    ACCEPTED = "accepted"
    SENT = "sent"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to the contact; accepted by the fold or superseded. `number` counts the thread's replies."""

    id: str
    event: str
    conversation_id: str
    kind: ReplyKind
    status: ReplyStatus
    number: int
    at_ms: int
    parts: tuple[Part, ...]
    covers: tuple[Unanswered, ...] = ()
    closes: bool = False
    hands_off: bool = False
    is_cut: bool = False
    """Somebody took over or closed after it was accepted: what has not gone out by then stays unsaid, even if a send fails."""
    is_left_alone: bool = False
    """The sender failed on what callbacks told about it after it was finished: that waits for somebody to redrive it."""
    model: str = ""
    by: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a group gave up; `unanswered` is the message that waits behind it, where it is one."""

    event: str
    group: str
    conversation_id: str | None
    error: str
    fingerprint: str
    attempts: int
    at_ms: int
    status: str = "open"
    unanswered: Unanswered | None = None


@dataclass(frozen=True, slots=True)
class EventAttempts:
    """How often a group tried an event in vain, and how often it began it alone."""

    event: str
    group: str
    failed: int = 0
    started_alone: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One WhatsApp message, either way. An outbound one may be known by a callback before anybody says what it was."""

    sid: str
    thread: str
    direction: str
    status: str
    at_ms: int
    event: str
    conversation_id: str | None = None
    kind: str = "text"
    body: str | None = None
    error_code: int | None = None
    reply_id: str | None = None
    part: int | None = None
    attempt: str | None = None
    profile_name: str | None = None
    choice: str | None = None
    media: tuple[Mapping[str, str], ...] = ()

    @property
    def is_rumour(self) -> bool:
        """Only a callback told of it: no send and no contact of ours has named it."""
        return self.direction == "outbound" and self.reply_id is None


Change: TypeAlias = Conversation | Message | Reply | DeadLetter
"""A row of the read model as the fold left it."""


def _nothing_known() -> Mapping[str, Message]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ThreadState:
    """
    Everything that deciding about a thread needs.

    `known` and `changes` belong to a batch and are not stored: `known` holds the messages whose sids occur in the batch,
    `changes` what is to be written.
    """

    thread: str
    owner: str
    conversation: Conversation | None = None
    unanswered: tuple[Unanswered, ...] = ()
    replies: tuple[Reply, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    attempts: tuple[EventAttempts, ...] = ()
    recent_events: tuple[str, ...] = ()
    inbound_count: int = 0
    settled_inbound: int = 0
    """Up to this number somebody answered, released or closed: these messages do not wait again unless a person redrives them."""
    reply_count: int = 0
    last_sent_reply: int = 0
    window_closes_at_ms: int = 0
    sentence_given_for: str | None = None
    """The last inbound event that was met with the failure sentence."""
    fails_at_ticks: bool = False
    """Silence could not be folded into it, which is recorded once: no tick concerns it until an event of its own is folded."""
    known: Mapping[str, Message] = field(default_factory=_nothing_known, compare=False)
    changes: tuple[Change, ...] = field(default=(), compare=False)

    @property
    def open_conversation(self) -> Conversation | None:
        return self.conversation if self.conversation and self.conversation.is_open else None

    @property
    def ai_may_answer(self) -> bool:
        return self.conversation is not None and self.conversation.status in ANSWERED_BY_AI

    def reply(self, reply_id: str) -> Reply | None:
        return next((reply for reply in self.replies if reply.id == reply_id), None)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """The clock and the rules of a partition; log time is the append time's running maximum plus the offset."""

    appended_at_ms: int = 0
    offset_ms: int = 0
    policy: Policy = field(default_factory=Policy)
    policy_before: Policy = field(default_factory=Policy)
    """The rules until the last entry: whatever it finds overdue came due under these."""
    recent_events: tuple[str, ...] = ()

    @property
    def log_time_ms(self) -> int:
        return self.appended_at_ms + self.offset_ms
