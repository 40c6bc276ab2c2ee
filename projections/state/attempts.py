"""What a group tried in vain, and what it gave up."""

from dataclasses import dataclass

from projections.state.conversations import Unanswered


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
    """
    How often a group tried an event in vain, and how often it began it alone and is not known to have left it.

    `is_alone` while the last of these starts is not taken back: the event is in work, or its worker ended.
    """

    event: str
    group: str
    failed: int = 0
    started_alone: int = 0
    is_alone: bool = False
