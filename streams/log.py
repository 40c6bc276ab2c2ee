"""
The contract of the log, held by every engine and by one conformance suite.

The log is P partitions, each an ordered and durable sequence of events. Consumers read by position; a group's committed position
is the low-water mark of its finished work. Redelivery is possible and harmless, reordering within a partition is not possible.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.events import Event


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an event stands in the log."""

    partition: int
    position: int


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the log as it was read; the bytes may be anything."""

    epoch: int
    partition: int
    position: int
    appended_at_ms: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the partition, and how many entries lie up to it where that is known."""

    position: int
    entries: int | None = None

    def passing(self, position: int) -> "Mark":
        """The mark after the next entry."""
        return Mark(position, None if self.entries is None else self.entries + 1)


@dataclass(frozen=True, slots=True)
class Committed:
    """
    A group's low-water mark in one partition.

    `lag` is how many entries are not finished yet, `entries` how many lie up to the mark; None where the engine cannot tell.
    """

    position: int
    lag: int | None
    entries: int | None = None


@dataclass(frozen=True, slots=True)
class Consumed:
    """The last entry that somebody has read of a partition, and the SHA-256 of its bytes where that is known."""

    position: int
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that serves a partition, and how much longer it surely does if it falls silent."""

    member: str
    remaining_seconds: float


class EventLog(Protocol):
    """
    Append, read, commit. Every method raises `LogUnavailable` when the server does not answer in time or cannot write for
    now; all may be called concurrently.

    Once a newer generation has begun, appends go there by themselves; what reads finds nothing more until it starts anew.
    """

    @property
    def partitions(self) -> int:
        """How many partitions the log has, as recorded in it at its first start."""

    @property
    def epoch(self) -> int:
        """The generation of the log; positions compare within one epoch only."""

    @property
    def is_production(self) -> bool:
        """Whether a process ever served this log in production, as recorded in it; known once it is started or joined."""

    async def start(self) -> None:
        """
        Connect, and record or verify the number of partitions.

        Raises `LogMismatch` where the log has another number of partitions, `UnsafeLog` where the server may lose entries,
        `ConfigurationError` where it is too old, and `LogUnavailable` where nothing answers; it may be called again.
        """

    async def join(self) -> None:
        """
        Connect to a log that others have started, and write nothing; for who looks, or adds an event by hand.

        Raises `LogMismatch` where it has another number of partitions, and `LogUnavailable` where nothing answers or nobody
        has started it yet; it may be called again.
        """

    async def close(self) -> None:
        """Let go of every connection."""

    async def append(self, event: Event) -> Appended:
        """
        Add an event to the partition of its subject; it is durable when this returns.

        It is never retried here: after `LogUnavailable` the event may or may not stand in the log, and appending the same event
        again is harmless by the rules of the fold. After `PositionOverflow` it does not.
        """

    async def require_writable(self) -> None:
        """Raise `LogUnavailable` where an append would be refused now. It asks as an append does, and changes nothing."""

    async def read(self, after: Mapping[int, int], *, limit: int, wait_seconds: float = 0.0) -> Sequence[Record]:
        """
        The entries after the given positions: per partition at most `limit`, in order.

        Waits up to `wait_seconds` when there is none, and returns at the first that arrives. It may be cancelled at any time.
        """

    async def heads(self) -> Mapping[int, int]:
        """
        The position of the last entry of every partition; 0 where there is none.

        Raises `EpochChanged` where a newer generation has begun: to join again goes on in it.
        """

    async def disagreements(self, consumed: Mapping[int, Consumed]) -> Mapping[int, str]:
        """
        The partitions of which the log does not hold what was consumed, and how they differ: it lost its tail, or is another log.

        An entry that was deleted or trimmed on purpose is no disagreement, as far as the engine can tell. Raises `EpochChanged`
        where a newer generation has begun: nothing of this one can be compared any more.
        """

    async def time_ms(self) -> int:
        """The clock that stamps appends, now, in milliseconds since 1970."""

    async def committed(self, group: str) -> Mapping[int, Committed]:
        """
        The group's mark in every partition. A group that does not exist is created, at the first entry.

        Raises `EpochChanged` where that cannot be, since a newer generation has begun.
        """

    async def marks(self, group: str) -> Mapping[int, Committed]:
        """As `committed`, for who only looks: nothing is made, and a partition where the group has none yet is left out."""

    async def holders(self) -> Mapping[int, Holder]:
        """Who serves which partition now; one that nobody serves is left out."""

    async def commit(self, group: str, positions: Mapping[int, int], entries: Mapping[int, int] | None = None) -> None:
        """
        Set the group's marks. The caller owns these partitions.

        `entries` tells how many entries lie up to a mark, where the caller has counted on from `Committed.entries`: an engine
        whose server cannot count for itself needs it to show the lag.
        """


class Ownership(Protocol):
    """
    Which partitions this process serves, for all of its groups: one live owner per partition.

    A lost lease is noticed by the owner's own monotonic clock, before the broker gives the partition to another.
    """

    @property
    def owned(self) -> Collection[int]:
        """The partitions that are held now."""

    def remaining_seconds(self, partition: int) -> float:
        """How much longer this process surely owns the partition; 0 when it does not."""

    def is_leaving(self, partition: int) -> bool:
        """Whether the partition is being given back, or is gone: what can be left to the next owner should be."""
