"""The log and the ownership in memory, for pure tests: the same contract, with a clock and owners that the test holds."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256

from streams.envelope import encode
from streams.errors import NewerEvent, PositionOverflow
from streams.events import Event
from streams.log import Appended, Committed, Consumed, Holder, Record
from streams.ownership import AttachedConsumers, PartitionConsumer, Takeover
from streams.partitions import SEQUENCE_BITS, SEQUENCE_LIMIT, START, milliseconds_of_position, partition_of_subject
from streams.suspicion import Suspicion


class MemoryEventLog:
    """Positions are made as on Redis, from `clock` (milliseconds since 1970). Nothing survives the object."""

    def __init__(self, partitions: int, clock: Callable[[], int]) -> None:
        self._records: tuple[list[Record], ...] = tuple([] for _ in range(partitions))
        self._marks: dict[str, dict[int, int]] = {}
        self._clock = clock
        self._arrived = asyncio.Event()
        self.held: dict[int, Holder] = {}

    @property
    def partitions(self) -> int:
        return len(self._records)

    @property
    def epoch(self) -> int:
        return 1

    @property
    def is_production(self) -> bool:
        return False

    async def start(self) -> None:
        pass

    async def join(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def append(self, event: Event) -> Appended:
        return self.append_bytes(partition_of_subject(event.subject, self.partitions), encode(event))

    async def require_writable(self) -> None:
        pass

    def append_bytes(self, partition: int, value: bytes) -> Appended:
        """Add what may be no event at all."""
        position = self._next_position(partition)
        record = Record(self.epoch, partition, position, milliseconds_of_position(position), value)
        self._records[partition].append(record)
        self._arrived.set()
        return Appended(partition, position)

    async def read(self, after: Mapping[int, int], *, limit: int, wait_seconds: float = 0.0) -> Sequence[Record]:
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(wait_seconds):
                while not (found := self._after(after, limit)):
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return []
        return found

    async def heads(self) -> Mapping[int, int]:
        return {n: records[-1].position if records else START for n, records in enumerate(self._records)}

    async def disagreements(self, consumed: Mapping[int, Consumed]) -> Mapping[int, str]:
        return {partition: "the log lost it" for partition, each in consumed.items() if not self._holds(partition, each)}

    def lose_tail(self, partition: int, keep: int) -> None:
        """Only so many entries of a partition stay, as after a failover to a copy that lagged."""
        del self._records[partition][keep:]

    async def time_ms(self) -> int:
        return self._clock()

    async def committed(self, group: str) -> Mapping[int, Committed]:
        marks = self._marks.setdefault(group, {})
        return {partition: self._committed(partition, marks.get(partition, START)) for partition in range(self.partitions)}

    async def marks(self, group: str) -> Mapping[int, Committed]:
        return await self.committed(group) if group in self._marks else {}

    async def holders(self) -> Mapping[int, Holder]:
        return dict(self.held)

    async def commit(self, group: str, positions: Mapping[int, int], entries: object = None) -> None:  # noqa: ARG002 - it counts
        self._marks.setdefault(group, {}).update(positions)

    def _holds(self, partition: int, consumed: Consumed) -> bool:
        if consumed.position == START:
            return True
        found = self._records[partition][self._count(partition, consumed.position - 1) :][:1]
        if not found or found[0].position != consumed.position:
            return False
        return consumed.digest in (None, sha256(found[0].value).digest())

    def _committed(self, partition: int, mark: int) -> Committed:
        passed = self._count(partition, mark)
        return Committed(mark, len(self._records[partition]) - passed, passed)

    def _after(self, after: Mapping[int, int], limit: int) -> list[Record]:
        starts = {partition: self._count(partition, position) for partition, position in after.items()}
        return [record for partition, start in starts.items() for record in self._records[partition][start : start + limit]]

    def _count(self, partition: int, position: int) -> int:
        return bisect_right(self._records[partition], position, key=lambda record: record.position)

    def _next_position(self, partition: int) -> int:
        now = self._clock() << SEQUENCE_BITS
        records = self._records[partition]
        if not records or records[-1].position < now:
            return max(now, START + 1)
        following = records[-1].position + 1
        if following % SEQUENCE_LIMIT == 0:
            raise PositionOverflow(f"partition {partition}")
        return following


class MemoryOwnership:
    """Partitions come and go as the test says."""

    def __init__(self) -> None:
        self.declined: dict[int, NewerEvent] = {}
        self._owned: dict[int, Takeover] = {}
        self._leaving: set[int] = set()
        self._consumers = AttachedConsumers()
        self._suspicions: dict[tuple[str, int], Suspicion] = {}
        self._takeovers = 0
        self._declining: set[asyncio.Task[None]] = set()

    @property
    def owned(self) -> Collection[int]:
        return tuple(self._owned)

    def remaining_seconds(self, partition: int) -> float:
        return 3600.0 if partition in self._owned else 0.0

    def is_leaving(self, partition: int) -> bool:
        return partition not in self._owned or partition in self._leaving

    def attach(self, consumer: PartitionConsumer) -> None:
        self._consumers.attach(consumer)
        for takeover in self._owned.values():
            consumer.gained(takeover)

    def decline(self, partition: int, error: NewerEvent) -> None:
        self.declined[partition] = error
        self._consumers.halt(partition)
        task = asyncio.create_task(self.give_back(partition))
        self._declining.add(task)
        task.add_done_callback(self._declining.discard)

    async def isolated_to(self, group: str, takeover: Takeover, *, mark: int, head: int) -> int:
        before = self._suspicions.get((group, takeover.partition), Suspicion())
        now = before.after_takeover(number=takeover.number, is_graceful=takeover.is_graceful, mark=mark, head=head)
        self._suspicions[group, takeover.partition] = now
        return now.isolated_to

    def gain(self, *partitions: int, is_graceful: bool = True) -> None:
        """This process owns these partitions from now on."""
        for partition in partitions:
            self._takeovers += 1
            self._owned[partition] = Takeover(partition, self._takeovers, is_graceful)
            self._consumers.gained(self._owned[partition])

    async def give_back(self, partition: int) -> None:
        """Hand the partition to another, in peace."""
        self._leaving.add(partition)
        await self._consumers.drain(partition)
        self._owned.pop(partition, None)
        self._leaving.discard(partition)

    async def lose(self, partition: int) -> None:
        """The lease is over, and what was in work with it."""
        self._owned.pop(partition, None)
        await self._consumers.abandon(partition)
