"""
Who serves a partition: the seam between the owner of partitions and the consumers of a process.

One ownership serves all consumers of a process. It tells each what it gained; before a partition is given back it lets them
drain, first the groups and then those upstream of them; when a lease is lost they abandon at once.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from structlog import get_logger

from streams.errors import NewerEvent
from streams.log import Ownership
from streams.outage import place_of

log = get_logger("prosa.ownership")

OnFatal: TypeAlias = Callable[[BaseException], None]
"""Told when the process must stop with a non-zero exit."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """
    How this process came to own a partition.

    `number` grows with every owner of the partition. `is_graceful` is false where the owner before ended, or was lost, without
    giving it back.
    """

    partition: int
    number: int
    is_graceful: bool = True


class PartitionConsumer(Protocol):
    """Whoever reads partitions that this process owns."""

    @property
    def is_upstream(self) -> bool:
        """Whether the others wait for this one's work, so that it is drained after them."""

    def gained(self, takeover: Takeover) -> None:
        """Begin to read. Nothing of an earlier time in this partition is running any more."""

    def halt(self, partition: int) -> None:
        """Begin nothing more in this partition, from this moment on; what runs goes on."""

    async def drain(self, partition: int) -> None:
        """Halt, finish within a limit and commit; returns when nothing of this partition runs. The lease still holds."""

    async def abandon(self, partition: int) -> None:
        """Cancel at once: the lease is lost. Returns when nothing of this partition runs."""


class PartitionOwnership(Ownership, Protocol):
    """What a consumer needs of the ownership."""

    def attach(self, consumer: PartitionConsumer) -> None:
        """Tell this consumer of every partition from now on, and of those already owned."""

    def decline(self, partition: int, error: NewerEvent) -> None:
        """Give the partition back and never take it again: only a newer process may read on."""

    async def isolated_to(self, group: str, takeover: Takeover, *, mark: int, head: int) -> int:
        """
        Up to which position the group handles one event at a time after this takeover, by the rules of `suspicion`; or `START`.

        May be asked again for the same takeover. Raises `LogUnavailable`.
        """


class AttachedConsumers:
    """The consumers of a process, told together."""

    def __init__(self) -> None:
        self._consumers: list[PartitionConsumer] = []

    def attach(self, consumer: PartitionConsumer) -> None:
        self._consumers.append(consumer)

    def gained(self, takeover: Takeover) -> None:
        for consumer in self._consumers:
            consumer.gained(takeover)

    def halt(self, partition: int) -> None:
        for consumer in self._consumers:
            consumer.halt(partition)

    async def drain(self, partition: int) -> None:
        """The groups together, then those that they wait for."""
        for is_upstream in (False, True):
            stage = [consumer for consumer in self._consumers if consumer.is_upstream is is_upstream]
            await asyncio.gather(*(consumer.drain(partition) for consumer in stage))

    async def abandon(self, partition: int) -> None:
        await asyncio.gather(*(consumer.abandon(partition) for consumer in self._consumers))


def exit_at_once(error: BaseException) -> None:
    """The stop of last resort, where nobody gave a better one: leases lapse, nothing is lost."""
    log.critical("process.failed", error=type(error).__name__, at=place_of(error))
    os._exit(1)


def supervise(task: "asyncio.Task[None]", on_fatal: OnFatal) -> "asyncio.Task[None]":
    """A task that must not end by an error in silence."""

    def ended(done: "asyncio.Task[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.critical("task.failed", task=done.get_name(), error=type(error).__name__, at=place_of(error))
            on_fatal(error)

    task.add_done_callback(ended)
    return task
