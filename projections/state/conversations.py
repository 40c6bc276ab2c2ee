"""A conversation as it stands, and what waits in it."""

from dataclasses import dataclass
from enum import StrEnum


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
