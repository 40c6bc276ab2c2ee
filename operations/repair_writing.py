"""One partition of a new generation: what the archive holds, then what the old stream alone has."""

from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha256
from typing import Self

from operations.repair_findings import Standing, digests, first_archived
from operations.repair_system import System
from operations.rewrite import Rewrite
from projections.archive import ArchivedEntry, archive
from projections.changes import RESPONDER, SENDER
from streams.crash_points import reached
from streams.engines.redis_generations import Generations
from streams.engines.redis_keys import FIELD, stream_key
from streams.engines.redis_marks import RedisMarks
from streams.engines.redis_rewrite import Entry, NewGeneration, Written, batches, entries_of, entry_at
from streams.partitions import START

Tell = Callable[[int, int], None]
"""How far it is: the partition that is being written, and how many entries of it are."""


class Writing:
    """
    A partition that is being written. Every method raises what the client and the database raise.

    `consumed` is where the checkpoint stands in the new stream; `left_out` counts archived poison whose bytes stand nowhere.
    """

    def __init__(
        self,
        system: System,
        found: Standing,
        generation: NewGeneration,
        partition: int,
        *,
        stood: Mapping[bytes, int],
        finished: Mapping[str, int],
    ) -> None:
        self.consumed = START
        self.left_out = 0
        self._system = system
        self._newest_epoch = found.newest_epoch
        self._generation = generation
        self._partition = partition
        self._old = stream_key(partition, found.epoch)
        self._stood = stood
        self._copied = max(stood.values(), default=START)
        self._rewrite = Rewrite(stood, {RESPONDER: START, SENDER: START, **finished})
        self._known: set[bytes] = set()

    @classmethod
    async def of(cls, system: System, found: Standing, generation: NewGeneration, partition: int) -> Self:
        """By what stands in the old stream, and how far each group had come there."""
        stood = await digests(system, found.epoch, partition)
        marks = RedisMarks(system.redis, Generations(system.redis, system.partitions), system.partitions, found.epoch)
        finished = {group: mark.position for group, mark in (await marks.groups())[partition].items()}
        return cls(system, found, generation, partition, stood=stood, finished=finished)

    @property
    def written(self) -> Written:
        """Up to where the old stream was copied, and what came of it."""
        return Written(self._copied, self._rewrite.last, self._rewrite.entries)

    async def write(self, first: int, tell: Tell) -> None:
        """The whole stream, groups and all; what lies before `first` in the old one is older than the archive."""
        if first != START:
            await self._write(self._older(first), tell)
        await self._write(self._archived(), tell)
        self.consumed = self._rewrite.last
        await self._write(self._survivors(), tell)
        await self._generation.set_marks(self._partition, self._rewrite.marks)

    async def catch_up(self) -> None:
        """Copy what was appended to the old stream since the last look."""
        async for batch in batches(self._appended()):
            await self._generation.write(self._partition, batch)

    async def _write(self, entries: AsyncIterator[Entry], tell: Tell) -> None:
        async for batch in batches(entries):
            await self._generation.write(self._partition, batch)
            reached("repair.writing")
            tell(self._partition, self._rewrite.entries)

    async def _older(self, first: int) -> AsyncIterator[Entry]:
        archived = {entry.digest async for entry in self._archive()}
        async for entry in entries_of(self._system.redis, self._old):
            if entry.position >= first:
                return
            digest = sha256(entry.value).digest()
            if digest not in archived and digest not in self._known:
                self._known.add(digest)
                yield self._placed(entry, digest)

    async def _archived(self) -> AsyncIterator[Entry]:
        async for entry in self._archive():
            self._known.add(entry.digest)
            value = await self._value(entry)
            if value is None:
                self.left_out += 1
            else:
                yield Entry(self._rewrite.place(entry.position, entry.digest), {FIELD: value})

    async def _survivors(self) -> AsyncIterator[Entry]:
        async for entry in entries_of(self._system.redis, self._old):
            if entry.position > self._copied:
                return
            if (digest := sha256(entry.value).digest()) not in self._known:
                yield self._placed(entry, digest)

    async def _appended(self) -> AsyncIterator[Entry]:
        async for entry in entries_of(self._system.redis, self._old, self._copied):
            self._copied = entry.position
            yield self._placed(entry, sha256(entry.value).digest())

    def _archive(self) -> AsyncIterator[ArchivedEntry]:
        return archive(self._system.database, self._partition, newest_epoch=self._newest_epoch)

    def _placed(self, entry: Entry, digest: bytes) -> Entry:
        return Entry(self._rewrite.place(entry.position, digest), entry.fields)

    async def _value(self, entry: ArchivedEntry) -> bytes | None:
        """The bytes of an archived entry; those of poison may stand in the old stream alone."""
        if entry.value is not None or entry.digest not in self._stood:
            return entry.value
        standing_there = await entry_at(self._system.redis, self._old, self._stood[entry.digest])
        return standing_there.value if standing_there else None


async def write_partition(system: System, found: Standing, generation: NewGeneration, partition: int, tell: Tell) -> Writing:
    """Write a partition, up to where its old stream ends now."""
    writing = await Writing.of(system, found, generation, partition)
    await writing.write(await first_archived(system, found, partition), tell)
    return writing
