"""The log on Redis Streams: one stream per partition, read with XREAD, marks kept as last-delivered ids of consumer groups."""

import asyncio
from collections.abc import Mapping, Sequence

from structlog import get_logger

from streams.engines.redis_agreement import disagreements_of
from streams.engines.redis_connection import connect, unavailable_on_failure
from streams.engines.redis_generations import Generations
from streams.engines.redis_keys import FIELD, FIRST_EPOCH, META_KEY, NO_STREAM, stream_key
from streams.engines.redis_leases import holders_of
from streams.engines.redis_marks import RedisMarks
from streams.engines.redis_reading import heads_of, records_after
from streams.engines.redis_safety import refuse_unsafe
from streams.envelope import encode
from streams.errors import LogMismatch, LogUnavailable, PositionOverflow
from streams.events import Event
from streams.log import Appended, Committed, Consumed, Holder, Record
from streams.measured import measured
from streams.partitions import partition_of_subject, position_of_entry_id

__all__ = ["FIELD", "FIRST_EPOCH", "META_KEY", "RedisEventLog", "stream_key"]

PRODUCTION = "production"

COMMAND_SECONDS = 3.0
"""Limit of one answer from the server; an append fails within 5 s, so that the webhook can still say 503 in time."""
APPEND_SECONDS = 4.5
BLOCK_SECONDS = 2.0
"""One XREAD blocks no longer than this; longer waits repeat it, so that a dead connection is noticed."""
CONNECTIONS = 64
READERS = 64

log = get_logger("prosa.log")


class RedisEventLog:
    """
    `EventLog` on Redis 7.0+ or Valkey; `vouched` stands in for a CONFIG that the server hides.

    It reads in the generation that it was started or joined in, and appends to the current one.
    """

    def __init__(self, url: str, *, partitions: int, production: bool = False, vouched: bool = False) -> None:
        self._commands = connect(url, connections=CONNECTIONS, timeout_seconds=COMMAND_SECONDS)
        self._readers = connect(url, connections=READERS, timeout_seconds=BLOCK_SECONDS + COMMAND_SECONDS)
        self._readers.set_response_callback("XREAD", lambda reply, **_: reply)
        self._partitions = partitions
        self._generations = Generations(self._commands, partitions)
        self._epoch = self._appending_epoch = FIRST_EPOCH
        self._production = production
        self._is_production = False
        self._vouched = vouched

    @property
    def partitions(self) -> int:
        return self._partitions

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def is_production(self) -> bool:
        return self._is_production

    async def start(self) -> None:
        with unavailable_on_failure(self._commands):
            await refuse_unsafe(self._commands, production=self._production, vouched=self._vouched)
            await self._generations.open()
            if self._production:
                await self._commands.hset(META_KEY, "environment", PRODUCTION)
        await self.join()

    async def join(self) -> None:
        with unavailable_on_failure(self._commands):
            partitions, epoch, environment = await self._commands.hmget(META_KEY, ["partitions", "epoch", "environment"])
        if partitions is None or epoch is None:
            raise LogUnavailable("nobody has started it yet; webhook, handlers and clock do")
        if int(partitions) != self._partitions:
            raise LogMismatch(f"the log has {int(partitions)} partitions; STREAM_PARTITIONS says {self._partitions}")
        self._epoch = self._appending_epoch = int(epoch)
        self._is_production = environment == PRODUCTION.encode()

    async def close(self) -> None:
        await self._commands.aclose()
        await self._readers.aclose()

    @measured
    async def append(self, event: Event) -> Appended:
        partition = partition_of_subject(event.subject, self._partitions)
        value = encode(event)
        with unavailable_on_failure(self._commands):
            async with asyncio.timeout(APPEND_SECONDS):
                while (entry_id := await self._xadd(epoch := self._appending_epoch, partition, value)) is None:
                    pass
        try:
            return Appended(partition, position_of_entry_id(entry_id.decode()))
        except PositionOverflow:
            await self._commands.xdel(stream_key(partition, epoch), entry_id)
            raise

    async def require_writable(self) -> None:
        with unavailable_on_failure(self._commands):
            await self._commands.execute_command("XADD", NO_STREAM, "NOMKSTREAM", "*", FIELD, b"")

    async def read(self, after: Mapping[int, int], *, limit: int, wait_seconds: float = 0.0) -> Sequence[Record]:
        if not after:
            await asyncio.sleep(wait_seconds)
            return []
        clock = asyncio.get_running_loop().time
        end = clock() + wait_seconds
        with unavailable_on_failure(self._commands):
            while True:
                wait_seconds = min(end - clock(), BLOCK_SECONDS)
                found = await records_after(self._readers, self._epoch, after, limit=limit, wait_seconds=wait_seconds)
                if found or clock() >= end:
                    return found

    async def heads(self) -> Mapping[int, int]:
        with unavailable_on_failure(self._commands):
            return await heads_of(self._commands, self._epoch, self._partitions)

    async def time_ms(self) -> int:
        with unavailable_on_failure(self._commands):
            seconds, microseconds = await self._commands.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def disagreements(self, consumed: Mapping[int, Consumed]) -> Mapping[int, str]:
        with unavailable_on_failure(self._commands):
            return await disagreements_of(self._commands, self._epoch, consumed)

    async def committed(self, group: str) -> Mapping[int, Committed]:
        with unavailable_on_failure(self._commands):
            return await self._marks.committed(group)

    async def marks(self, group: str) -> Mapping[int, Committed]:
        with unavailable_on_failure(self._commands):
            return await self._marks.marks(group)

    async def holders(self) -> Mapping[int, Holder]:
        with unavailable_on_failure(self._commands):
            return await holders_of(self._commands, range(self._partitions))

    async def commit(self, group: str, positions: Mapping[int, int], entries: Mapping[int, int] | None = None) -> None:
        with unavailable_on_failure(self._commands):
            await self._marks.commit(group, positions, entries or {})

    @property
    def _marks(self) -> RedisMarks:
        return RedisMarks(self._commands, self._generations, self._partitions, self._epoch)

    async def _xadd(self, epoch: int, partition: int, value: bytes) -> bytes | None:
        """
        The id of the new entry; None where another generation began at this very moment, and the next try goes there.

        An append makes no stream: one that is not there belongs to a generation that is over, or was deleted.
        """
        key = stream_key(partition, epoch)
        entry_id: bytes | None = await self._commands.execute_command("XADD", key, "NOMKSTREAM", "*", FIELD, value)
        if entry_id is not None:
            return entry_id
        current = await self._generations.open(epoch)
        if current != epoch:
            self._go_over_to(current)
            return None
        entry_id = await self._generations.append_anew(epoch, partition, value)
        if entry_id is not None:
            log.error(
                "stream.made_again",
                reason="it was gone from the log",
                partition=partition,
                remedy="prosa doctor tells what it lost",
            )
        return entry_id

    def _go_over_to(self, epoch: int) -> None:
        if epoch != self._appending_epoch:
            log.warning("generation.joined", epoch=epoch, before=self._appending_epoch)
            self._appending_epoch = epoch
