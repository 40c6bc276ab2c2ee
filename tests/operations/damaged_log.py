"""A log on a real server, folded into a real read model, for tests that take parts of it away and have it repaired."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from redis.asyncio import Redis

from operations import repair as operation
from operations.repair import Repaired
from operations.repair_system import System
from projections.database import Database
from projections.progress import Progress
from projections.projector import Projector
from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIELD, META_KEY, stream_key
from streams.engines.redis_log import RedisEventLog
from streams.envelope import encode, new_event
from streams.errors import NewerEvent
from streams.events import ClockTicked, Event, MessageReceived
from streams.log import Record
from streams.partitions import START, milliseconds_of_position, partition_subject
from tests.projections.read_model import PARTITIONS, Expected, differences, dump, thread_in

LEASE_SECONDS = 1.0
GROUP = "responder"


@dataclass
class DamagedLog:
    """`acknowledged` are the events whose append returned."""

    url: str
    redis: Client
    log: RedisEventLog
    database: Database
    acknowledged: list[Event] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    @property
    def system(self) -> System:
        return System(self.redis, self.database, PARTITIONS, LEASE_SECONDS)

    async def write(self, number: int = 1, *, partitions: Sequence[int] = range(PARTITIONS), log: Any = None) -> None:
        """Contacts write in each of these partitions, and a clock ticks."""
        for partition in [*partitions] * number:
            message = MessageReceived(sid=f"SM{next(self._numbers)}", kind="text", body="Olá", form={})
            tick = ClockTicked(nominal=datetime.now(UTC))
            for event in (
                new_event(message, subject=thread_in(partition), source="test"),
                new_event(tick, subject=partition_subject(partition), source="test"),
            ):
                await (log or self.log).append(event)
                self.acknowledged.append(event)

    async def write_poison(self, partition: int, value: bytes = b"\xff no event") -> None:
        await self.redis.execute_command("XADD", await self.key(partition), "*", FIELD, value)

    async def key(self, partition: int) -> str:
        return stream_key(partition, int(await self.redis.hget(META_KEY, "epoch") or 1))

    async def project(self) -> None:
        """Fold what is not folded yet, as a worker that starts now. Raises `CheckpointAhead`."""
        projector = self.projector()
        await self.log.start()
        positions = dict(await projector.positions(range(PARTITIONS)))
        while records := await self.log.read(positions, limit=1000):
            await projector.project(records)
            positions |= {record.partition: record.position for record in records}

    def projector(self) -> Projector:
        def declined(_: int, error: NewerEvent) -> None:
            raise error

        return Projector(
            self.database,
            Progress(self.database),
            epoch=lambda: self.log.epoch,
            declined=declined,
            compare=self.log.disagreements,
        )

    async def mark(self, partition: int, entry: int, group: str = GROUP) -> None:
        """The group has finished so many entries of a partition."""
        await self.log.committed(group)
        records = await self.records(partition)
        await self.log.commit(group, {partition: records[entry - 1].position}, {partition: entry})

    async def lose_tail(self, partition: int, keep: int) -> None:
        """The partition is as it was when it had so many entries, groups and all; as in a copy that lagged."""
        key = await self.key(partition)
        entries = await self.redis.xrange(key)
        groups = await self.redis.xinfo_groups(key)
        await self.redis.delete(key)
        await self.redis.xgroup_create(key, "making", id="0", mkstream=True)
        await self.redis.xgroup_destroy(key, "making")
        for entry_id, fields in entries[:keep]:
            await self.redis.xadd(key, fields, id=entry_id)
        for group in groups:
            mark = min(group["last-delivered-id"], entries[keep - 1][0] if keep else b"0-0", key=_of_entry_id)
            await self.redis.xgroup_create(key, group["name"], id=mark)

    async def records(self, partition: int) -> list[Record]:
        return list(await self.log.read({partition: START}, limit=100_000))

    async def repair(self) -> Repaired | None:
        repaired = await operation.repair(self.system, lambda *_: None)
        await self.log.join()
        return repaired

    # ---------------------------------------------------------------------------------------------------------- the laws

    async def assert_whole(self) -> None:
        """Each acknowledged event stands in the log once; what is folded of it is what the whole archive means, and one chain."""
        await self.log.join()
        await self.project()
        standing = Counter([record.value for partition in range(PARTITIONS) for record in await self.records(partition)])
        assert {standing[encode(event)] for event in self.acknowledged} <= {1}
        archived = await self.archive()
        assert Counter(record.value for record in archived) == standing
        assert differences(Expected().fold(archived), await dump(self.database)) == []

    async def archive(self) -> list[Record]:
        """Every archived entry, over all generations, in order; and their chain holds."""
        async with self.database.transaction(readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT epoch, partition, position, event::text AS event, value, digest, chain FROM events"
                " LEFT JOIN skipped_events USING (epoch, partition, position) ORDER BY partition, epoch, position"
            )
        chains = dict.fromkeys(range(PARTITIONS), b"")
        records = []
        for row in rows:
            value = row["value"] if row["event"] is None else row["event"].encode()
            chains[row["partition"]] = sha256(chains[row["partition"]] + row["digest"]).digest()
            assert (sha256(value).digest(), chains[row["partition"]]) == (row["digest"], row["chain"])
            place = row["epoch"], row["partition"], row["position"]
            records.append(Record(*place, milliseconds_of_position(row["position"]), value))
        return records


def _of_entry_id(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)


@asynccontextmanager
async def a_damaged_log(redis_url: str, database_url: str) -> AsyncIterator[DamagedLog]:
    redis: Client = Redis.from_url(redis_url)
    log, database = RedisEventLog(redis_url, partitions=PARTITIONS), Database(database_url, max_connections=4)
    await log.start()
    try:
        yield DamagedLog(redis_url, redis, log, database)
    finally:
        await log.close()
        await database.close()
        await redis.aclose()
