"""What the log says about one thread, and about one partition. Times are milliseconds of log time since 1970."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from projections.policy import Policy
from projections.state.attempts import DeadLetter, EventAttempts
from projections.state.conversations import ANSWERED_BY_AI, ENDED, ClosedBy, Conversation, Status, Unanswered
from projections.state.messages import Message
from projections.state.replies import Attempt, Outcome, Part, PartStatus, Reply, ReplyKind, ReplyStatus

__all__ = [
    "ANSWERED_BY_AI",
    "ENDED",
    "Attempt",
    "Change",
    "ClosedBy",
    "Conversation",
    "DeadLetter",
    "EventAttempts",
    "Message",
    "Outcome",
    "Part",
    "PartStatus",
    "PartitionState",
    "Reply",
    "ReplyKind",
    "ReplyStatus",
    "Status",
    "ThreadState",
    "Unanswered",
]

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
    sentence_given_at_ms: int | None = None
    """When that was, by log time; nothing once something else reached the contact, or where the sentence was withdrawn."""
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
