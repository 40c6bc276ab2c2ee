"""Which partitions this process serves: leases on Redis, in fair shares, taken over when they lapse."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, inf
from typing import Any
from uuid import uuid4

from structlog import get_logger

import metrics
from streams.cancellation import end
from streams.crash_points import reached
from streams.engines.redis_connection import connect
from streams.engines.redis_leases import RedisLeases
from streams.errors import LogUnavailable, NewerEvent
from streams.heartbeat import Heartbeat
from streams.outage import Outage
from streams.ownership import AttachedConsumers, OnFatal, PartitionConsumer, Takeover, exit_at_once, supervise
from streams.retry import RetryPolicy
from telemetry import ranges

LOOK_SECONDS = 0.25
"""How often a process looks whether members came or left, and for free partitions while it holds less than its share."""

log = get_logger("prosa.ownership")


def monotonic_seconds() -> float:
    """A clock that never goes back and, where the system has one, goes on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(slots=True, eq=False)
class _Lease:
    takeover: Takeover
    ends_at: float
    is_draining: bool = False


class RedisOwnership:
    """
    One lease per partition for all consumers of this process, renewed at a quarter of its life.

    Our own idea of its end is counted from before the renewing call, so it never comes later than the server's. When it lapses,
    `remaining_seconds` is 0 from then on and the consumers abandon the partition; it is not claimed again before they have.
    """

    def __init__(
        self,
        url: str,
        *,
        partitions: int,
        lease_seconds: float,
        on_fatal: OnFatal = exit_at_once,
        clock: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._client = connect(url, connections=4, timeout_seconds=max(0.5, lease_seconds / 4))
        self._leases = RedisLeases(self._client, str(uuid4()), lease_seconds)
        self._partitions = partitions
        self._lease_seconds = lease_seconds
        self._on_fatal = on_fatal
        self._clock = clock
        self._consumers = AttachedConsumers()
        self._held: dict[int, _Lease] = {}
        self._declined: set[int] = set()
        self._adopted: set[int] = set()
        self._free_since: dict[int, float] = {}
        self._members = 0
        self._renew_at = 0.0
        self._renewed_at = -inf
        self._is_stopping = False
        self.heartbeat = Heartbeat("leases")
        self._loops: list[asyncio.Task[None]] = []
        self._handovers: dict[int, asyncio.Task[None]] = {}
        self._given_back: list[int] = []
        self._releasing = asyncio.Lock()
        self._round = asyncio.Lock()

    @property
    def member(self) -> str:
        """The name of this process among the members."""
        return self._leases.member

    @property
    def seconds_since_renewal(self) -> float:
        """The age of the last round of renewals that the server answered: the sign of life of a process without partitions."""
        return self._clock() - self._renewed_at

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts; it is renewed at a quarter of that."""
        return self._lease_seconds

    @property
    def declined(self) -> Collection[int]:
        """The partitions that only a newer version may serve."""
        return frozenset(self._declined)

    @property
    def owned(self) -> Collection[int]:
        return tuple(partition for partition in self._held if self.remaining_seconds(partition) > 0)

    def remaining_seconds(self, partition: int) -> float:
        lease = self._held.get(partition)
        return max(0.0, lease.ends_at - self._clock()) if lease else 0.0

    def is_leaving(self, partition: int) -> bool:
        lease = self._held.get(partition)
        return lease is None or lease.is_draining

    def attach(self, consumer: PartitionConsumer) -> None:
        self._consumers.attach(consumer)
        for lease in self._held.values():
            if not lease.is_draining:
                consumer.gained(lease.takeover)

    def decline(self, partition: int, error: NewerEvent) -> None:
        if partition not in self._declined:
            log.error("partition.declined", partition=partition, event_type=str(error), remedy="a newer version")
        self._declined.add(partition)
        self._consumers.halt(partition)
        self._hand_back(partition)

    async def isolated_to(self, group: str, takeover: Takeover, *, mark: int, head: int) -> int:
        before = await self._leases.suspicion(group, takeover.partition)
        now = before.after_takeover(number=takeover.number, is_graceful=takeover.is_graceful, mark=mark, head=head)
        if now != before:
            await self._leases.remember(group, takeover.partition, now)
        return now.isolated_to

    async def start(self) -> None:
        """Begin to claim; waits for the server as long as it takes, in the background."""
        for loop in (self._hold, self._watch):
            self._loops.append(self._begin(loop(), loop.__name__))

    async def stop(self) -> None:
        """Let every consumer drain, give every partition back, and leave. Consumers are of no use afterwards."""
        self._is_stopping = True
        async with self._round:
            pass  # a claim that was under way has ended
        for partition in list(self._held):
            self._hand_back(partition)
        while self._handovers:
            await asyncio.wait(self._handovers.values())
        await end(self._loops)
        try:
            await self._leases.leave()
        except LogUnavailable as error:
            log.warning("membership.left_to_lapse", reason=str(error))
        await self._client.aclose()

    # -------------------------------------------------------------------------------------------------------- the loop

    async def _hold(self) -> None:
        outage = Outage("cannot renew leases", RetryPolicy(base_seconds=0.05, max_seconds=min(1.0, self._lease_seconds / 8)))
        while True:
            self.heartbeat.beat()
            try:
                pause = await self._hold_once()
                outage.over()
            except LogUnavailable as error:
                pause = outage.failed(error)
            await asyncio.sleep(pause)

    async def _hold_once(self) -> float:
        """One round; returns the seconds until the next."""
        async with self._round:
            if self._clock() >= self._renew_at or await self._leases.members() != self._members:
                await self._renew()
                self._hand_back_surplus()
            if not self._is_stopping:
                await self._claim()
        return max(0.0, min(LOOK_SECONDS, self._renew_at - self._clock()))

    async def _renew(self) -> None:
        began, leases = self._clock(), dict(self._held)
        renewed = await self._leases.renew(leases)
        reached("lease.renewed")
        lost: dict[str, list[int]] = {}
        for partition, lease in leases.items():
            if self._held.get(partition) is not lease:
                continue  # lapsed or given back meanwhile
            if lease.ends_at <= self._clock():
                lost.setdefault("lapsed before they were renewed", []).append(partition)  # somebody may have seen so: not revived
            elif partition in renewed.kept:
                lease.ends_at = began + self._lease_seconds
            else:
                lost.setdefault("the server gave them to another, or forgot them", []).append(partition)
        self._lose(lost)
        self._renewed_at = began
        self._renew_at = began + self._lease_seconds / 4
        if renewed.members != self._members:
            if self._members:
                log.info("members.changed", members=renewed.members)
            self._members = renewed.members
            self._adopted.clear()
            self._free_since.clear()

    @property
    def _share(self) -> int:
        return ceil(self._partitions / max(1, self._members))

    def _hand_back_surplus(self) -> None:
        staying = [
            partition for partition, lease in self._held.items() if not lease.is_draining and partition not in self._adopted
        ]
        for partition in staying[self._share :]:
            self._hand_back(partition)

    async def _claim(self) -> None:
        """Take what is free, up to the fair share."""
        candidates = [partition for partition in range(self._partitions) if self._may_claim(partition)]
        room = self._share - len(self._held.keys() - self._adopted)
        random.shuffle(candidates)
        if candidates and room > 0:
            await self._take(candidates, room)
        elif candidates:
            await self._adopt(candidates)

    async def _adopt(self, candidates: Collection[int]) -> None:
        """Take beyond the share what stayed free for a whole lease: all others have their share, or decline it."""
        free, now = await self._leases.free(candidates), self._clock()
        self._free_since = {partition: self._free_since.get(partition, now) for partition in free}
        overdue = [partition for partition, since in self._free_since.items() if now - since > self._lease_seconds]
        if overdue:
            self._adopted.update(overdue)
            await self._take(overdue, len(overdue))
            self._adopted &= self._held.keys()

    async def _take(self, partitions: Collection[int], most: int) -> None:
        began = self._clock()
        takeovers = await self._leases.claim(partitions, most)
        if takeovers:
            reached("lease.claimed")
            _tell_gained(takeovers)
        for takeover in takeovers:
            metrics.PARTITIONS_GAINED.of("handover" if takeover.is_graceful else "lapse").inc()
            self._free_since.pop(takeover.partition, None)
            self._held[takeover.partition] = _Lease(takeover, began + self._lease_seconds)
            self._consumers.gained(takeover)
            if self._is_stopping or takeover.partition in self._declined:
                self._hand_back(takeover.partition)

    def _may_claim(self, partition: int) -> bool:
        return partition not in self._held and partition not in self._handovers and partition not in self._declined

    async def _watch(self) -> None:
        """Notice by our own clock that a lease is over, whatever the loop that renews is waiting for."""
        while True:
            now = self._clock()
            self._lose({"lapsed": [partition for partition, lease in self._held.items() if lease.ends_at <= now]})
            earliest = min((lease.ends_at for lease in self._held.values()), default=now + self._lease_seconds)
            await asyncio.sleep(min(earliest - now, self._lease_seconds / 10))

    # --------------------------------------------------------------------------------------------------------- giving up

    def _hand_back(self, partition: int) -> None:
        lease = self._held.get(partition)
        if lease and not lease.is_draining:
            lease.is_draining = True
            self._hand_over(partition, self._drain_and_release(partition, lease))

    async def _drain_and_release(self, partition: int, lease: _Lease) -> None:
        await self._consumers.drain(partition)
        reached("lease.releasing")
        if self._held.get(partition) is lease:
            del self._held[partition]
            await self._release(partition)
            self._given_back.append(partition)

    def _lose(self, partitions_by_reason: Mapping[str, Collection[int]]) -> None:
        for reason, partitions in partitions_by_reason.items():
            if partitions:
                log.warning("partitions.lost", partitions=ranges(partitions), reason=reason)
            for partition in partitions:
                metrics.LEASES_LOST.of().inc()
                del self._held[partition]
                self._hand_over(partition, self._abandon_and_release(partition, self._handovers.get(partition)))

    async def _abandon_and_release(self, partition: int, draining: "asyncio.Task[None] | None") -> None:
        await self._consumers.abandon(partition)
        if draining:
            await asyncio.wait({draining})
        await self._release(partition)

    async def _release(self, partition: int) -> None:
        """
        By compare-and-delete, for as long as the server may still remember us; afterwards it has lapsed by itself.

        While the server is away one partition tries again for all, since trying costs a connection each time.
        """
        ends_at = self._clock() + self._lease_seconds
        with suppress(LogUnavailable):
            return await self._leases.release(partition)
        async with self._releasing:
            while not self._is_stopping and self._clock() <= ends_at:
                with suppress(LogUnavailable):
                    return await self._leases.release(partition)
                await asyncio.sleep(self._lease_seconds / 20)

    def _hand_over(self, partition: int, handover: Coroutine[Any, Any, None]) -> None:
        """The partition is not claimed again before this has ended."""
        task = self._handovers[partition] = self._begin(handover, f"handover of partition {partition}")

        def ended(_: "asyncio.Task[None]") -> None:
            if self._handovers.get(partition) is task:
                del self._handovers[partition]
            if self._given_back and not self._handovers:
                log.info("partitions.given_back", partitions=ranges(self._given_back))
                self._given_back.clear()

        task.add_done_callback(ended)

    def _begin(self, loop: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        return supervise(asyncio.create_task(loop, name=name), self._on_fatal)


def _tell_gained(takeovers: Collection[Takeover]) -> None:
    orphaned = [takeover.partition for takeover in takeovers if not takeover.is_graceful]
    partitions = ranges(takeover.partition for takeover in takeovers)
    log.info("partitions.gained", partitions=partitions, orphaned=ranges(orphaned) or None)
