"""Batches from positions that are kept elsewhere, on every engine; the ownership is held by the test."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from streams import reader
from streams.consumer import BatchConsumer
from streams.engines.memory import MemoryOwnership
from streams.envelope import decode
from streams.errors import LogMismatch, NewerEvent, ReadModelUnavailable
from streams.events import MessageReceived
from streams.log import Record
from streams.partitions import START
from tests.streams.conftest import PARTITIONS, Engine, eventually
from tests.streams.test_consumer import thread_in, write


@dataclass
class Projection:
    """Keeps positions and what it saw, and fails where it is told to."""

    kept: dict[int, int] = field(default_factory=dict)
    batches: list[list[Record]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    asked: list[list[int]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0

    def __post_init__(self) -> None:
        self.may_go_on.set()

    async def positions(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(list(partitions))
        return {partition: self.kept.get(partition, START) for partition in partitions}

    async def project(self, records: Sequence[Record]) -> None:
        self.begun += 1
        await self.may_go_on.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(list(records))
        for record in records:
            assert record.position > self.kept.get(record.partition, START), "out of order, or twice"
            self.kept[record.partition] = record.position
            data = decode(record.value).data
            assert isinstance(data, MessageReceived)
            self.bodies.append(data.body)


@dataclass
class Running:
    consumer: BatchConsumer
    ownership: MemoryOwnership
    fatal: list[BaseException]


@asynccontextmanager
async def running(
    engine: Engine, projection: Projection, *, owned: tuple[int, ...] = tuple(range(PARTITIONS)), batch_size: int = 1000
) -> AsyncIterator[Running]:
    ownership, fatal = MemoryOwnership(), list[BaseException]()
    consumer = BatchConsumer(
        engine.log, ownership, group="projector", positions=projection.positions, batch_size=batch_size, on_fatal=fatal.append
    )
    await consumer.start(projection.project)
    ownership.gain(*owned)
    yield Running(consumer, ownership, fatal)
    projection.may_go_on.set()
    await consumer.stop()


async def test_everything_is_handed_over_once_and_in_order(engine: Engine) -> None:
    bodies = [str(n) for n in range(50)]
    await write(engine, thread_in(0), *bodies)
    projection = Projection()
    async with running(engine, projection):
        await eventually(lambda: len(projection.bodies) == 50)
        await write(engine, thread_in(0), "last")
        await eventually(lambda: projection.bodies == [*bodies, "last"])


async def test_a_drain_waits_for_the_batch_in_hand_no_longer_than_its_limit(engine: Engine) -> None:
    await write(engine, thread_in(0), "slow")
    projection = Projection()
    projection.may_go_on.clear()
    ownership = MemoryOwnership()
    consumer = BatchConsumer(engine.log, ownership, group="projector", positions=projection.positions, drain_seconds=0.2)
    await consumer.start(projection.project)
    ownership.gain(0)
    await eventually(lambda: projection.begun == 1)
    async with asyncio.timeout(30):
        await consumer.stop()
    assert projection.bodies == []


async def test_without_partitions_nothing_is_read_and_nobody_claims_it(engine: Engine) -> None:
    async with running(engine, Projection(), owned=()) as idle:
        await asyncio.wait_for(engine.log.read({}, limit=1, wait_seconds=0.1), 30)
        assert idle.consumer.seconds_since_read == float("inf")


async def test_the_silence_of_the_consumer_counts_from_the_first_partition_that_it_gained(engine: Engine) -> None:
    began = time.monotonic()
    async with running(engine, Projection(), owned=(0,)) as reading:
        assert reading.consumer.seconds_since_read <= time.monotonic() - began
        await eventually(lambda: reading.consumer.seconds_since_read > 0.2)
        reading.ownership.gain(1)
        assert reading.consumer.seconds_since_read > 0.2


async def test_reading_begins_at_the_positions_that_are_kept(engine: Engine) -> None:
    positions = await write(engine, thread_in(0), "known", "new")
    projection = Projection(kept={0: positions[0]})
    async with running(engine, projection):
        await eventually(lambda: projection.bodies == ["new"])


async def test_a_batch_is_bounded_over_all_partitions(engine: Engine) -> None:
    for partition in range(PARTITIONS):
        await write(engine, thread_in(partition), *(f"{partition}.{n}" for n in range(20)))
    projection = Projection()
    async with running(engine, projection, batch_size=8):
        await eventually(lambda: len(projection.bodies) == 20 * PARTITIONS)
    assert max(len(batch) for batch in projection.batches) <= 8


@pytest.mark.alone
async def test_a_new_entry_is_handed_over_at_once(engine: Engine) -> None:
    projection = Projection()
    delays = []
    async with running(engine, projection):
        for n in range(20):
            began = time.monotonic()
            await write(engine, thread_in(n % PARTITIONS), str(n))
            await eventually(lambda: len(projection.bodies) == n + 1)  # noqa: B023 - awaited at once
            delays.append(time.monotonic() - began)
    assert sorted(delays)[10] < 0.05


async def test_after_a_failure_the_positions_are_asked_for_again_and_nothing_is_skipped(engine: Engine) -> None:
    await write(engine, thread_in(0), "one", "two")
    projection = Projection(failures=[ReadModelUnavailable("x"), ValueError("x")])
    async with running(engine, projection, owned=(0,)) as started:
        await eventually(lambda: projection.bodies == ["one", "two"])
        assert started.fatal == []
    assert len(projection.asked) == 3


async def test_a_partition_that_was_gained_joins_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that finds nothing would last for ever."""
    monkeypatch.setattr(reader, "WAIT_SECONDS", 3600.0)
    await write(engine, thread_in(1), "waiting")
    projection = Projection()
    async with running(engine, projection, owned=(0,)) as started:
        await write(engine, thread_in(0), "first")
        await eventually(lambda: projection.bodies == ["first"])
        started.ownership.gain(1)
        await eventually(lambda: projection.bodies == ["first", "waiting"])


async def test_a_partition_that_was_lost_leaves_at_once_and_comes_back_from_where_it_stands(engine: Engine) -> None:
    projection = Projection()
    async with running(engine, projection) as started:
        await write(engine, thread_in(0), "one")
        await eventually(lambda: projection.bodies == ["one"])
        await started.ownership.lose(0)
        [_, third] = await write(engine, thread_in(0), "by another", "three")
        await write(engine, thread_in(1), "elsewhere")
        await eventually(lambda: projection.bodies == ["one", "elsewhere"])
        projection.kept[0] = third - 1
        started.ownership.gain(0)
        await eventually(lambda: projection.bodies == ["one", "elsewhere", "three"])


async def test_a_partition_is_given_back_when_the_batch_in_hand_is_done(engine: Engine) -> None:
    projection = Projection()
    projection.may_go_on.clear()
    async with running(engine, projection) as started:
        await write(engine, thread_in(0), "one")
        await eventually(lambda: projection.begun == 1)
        giving_back = asyncio.create_task(started.ownership.give_back(0))
        assert not (await asyncio.wait({giving_back}, timeout=0.05))[0]
        projection.may_go_on.set()
        await giving_back
        assert projection.bodies == ["one"]


async def test_nothing_is_handed_over_after_the_handler_declined_the_partition(engine: Engine) -> None:
    """Else the position would pass the event that only a newer process understands."""
    projection = Projection()
    ownership = MemoryOwnership()

    async def decline(records: Sequence[Record]) -> None:
        projection.begun += 1
        if records[0].partition == 0:
            ownership.decline(0, NewerEvent("message.received.v9"))
        else:
            await projection.project(records)

    consumer = BatchConsumer(engine.log, ownership, group="projector", positions=projection.positions, batch_size=PARTITIONS)
    await consumer.start(decline)
    ownership.gain(*range(PARTITIONS))
    await write(engine, thread_in(0), *(str(n) for n in range(20)))
    await eventually(lambda: 0 in ownership.declined)
    await write(engine, thread_in(1), "elsewhere")
    await eventually(lambda: projection.bodies == ["elsewhere"])
    await consumer.stop()
    assert projection.begun == 3


async def test_a_fatal_error_is_told_and_ends_the_reading(engine: Engine) -> None:
    projection = Projection(failures=[LogMismatch("x")])
    async with running(engine, projection) as started:
        await write(engine, thread_in(0), "one", "two")
        await eventually(lambda: len(started.fatal) == 1)
    assert projection.bodies == []
