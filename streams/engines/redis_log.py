"""The log on Redis Streams: one stream per partition, read with XREAD, marks kept as last-delivered ids of consumer groups."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError
from structlog import get_logger

from streams.engines.redis_connection import connect, unavailable_on_failure
from streams.engines.redis_leases import holders_of
from streams.engines.redis_safety import refuse_unsafe
from streams.envelope import encode
from streams.errors import LogMismatch, LogUnavailable, PositionOverflow
from streams.events import Event
from streams.log import Appended, Committed, Holder, Record
from streams.measured import measured
from streams.partitions import (
    SEQUENCE_LIMIT,
    START,
    entry_id_of_position,
    partition_of_subject,
    position_of_entry_id,
)

META_KEY = "prosa:meta"
FIELD = b"event"
FIRST_EPOCH = 1
PRODUCTION = "production"

COMMAND_SECONDS = 3.0
"""Limit of one answer from the server; an append fails within 5 s, so that the webhook can still say 503 in time."""
APPEND_SECONDS = 4.5
BLOCK_SECONDS = 2.0
"""One XREAD blocks no longer than this; longer waits repeat it, so that a dead connection is noticed."""
CONNECTIONS = 64
READERS = 64

log = get_logger("prosa.log")


def stream_key(partition: int) -> str:
    """The Redis key of a partition."""
    return f"prosa:log:{partition}"


class RedisEventLog:
    """`EventLog` on Redis 7.0+ or Valkey; `vouched` stands in for a CONFIG that the server hides."""

    def __init__(self, url: str, *, partitions: int, production: bool = False, vouched: bool = False) -> None:
        self._commands = connect(url, connections=CONNECTIONS, timeout_seconds=COMMAND_SECONDS)
        self._readers = connect(url, connections=READERS, timeout_seconds=BLOCK_SECONDS + COMMAND_SECONDS)
        self._readers.set_response_callback("XREAD", lambda reply, **_: reply)
        self._partitions = partitions
        self._epoch = FIRST_EPOCH
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
            async with self._commands.pipeline(transaction=True) as pipeline:
                pipeline.hsetnx(META_KEY, "partitions", str(self._partitions))
                pipeline.hsetnx(META_KEY, "epoch", str(FIRST_EPOCH))
                if self._production:
                    pipeline.hset(META_KEY, "environment", PRODUCTION)
                await pipeline.execute()
        await self.join()

    async def join(self) -> None:
        with unavailable_on_failure(self._commands):
            partitions, epoch, environment = await self._commands.hmget(META_KEY, ["partitions", "epoch", "environment"])
        if partitions is None or epoch is None:
            raise LogUnavailable("nobody has started it yet; webhook, handlers and clock do")
        if int(partitions) != self._partitions:
            raise LogMismatch(f"the log has {int(partitions)} partitions; STREAM_PARTITIONS says {self._partitions}")
        self._epoch = int(epoch)
        self._is_production = environment == PRODUCTION.encode()

    async def close(self) -> None:
        await self._commands.aclose()
        await self._readers.aclose()

    @measured
    async def append(self, event: Event) -> Appended:
        partition = partition_of_subject(event.subject, self._partitions)
        key, value = stream_key(partition), encode(event)
        with unavailable_on_failure(self._commands):
            async with asyncio.timeout(APPEND_SECONDS):
                entry_id: bytes = await self._commands.execute_command("XADD", key, "*", FIELD, value)
        try:
            return Appended(partition, position_of_entry_id(entry_id.decode()))
        except PositionOverflow:
            await self._commands.xdel(key, entry_id)
            raise

    async def read(self, after: Mapping[int, int], *, limit: int, wait_seconds: float = 0.0) -> Sequence[Record]:
        if not after:
            await asyncio.sleep(wait_seconds)
            return []
        clock = asyncio.get_running_loop().time
        end = clock() + wait_seconds
        with unavailable_on_failure(self._commands):
            while not (found := await self._xread(after, limit, min(end - clock(), BLOCK_SECONDS))):
                if clock() >= end:
                    return []
        return found

    async def heads(self) -> Mapping[int, int]:
        with unavailable_on_failure(self._commands):
            async with self._commands.pipeline(transaction=False) as pipeline:
                for partition in range(self._partitions):
                    pipeline.xrevrange(stream_key(partition), count=1)
                replies = await pipeline.execute()
            return {partition: await self._head(partition, reply) for partition, reply in enumerate(replies)}

    async def time_ms(self) -> int:
        with unavailable_on_failure(self._commands):
            seconds, microseconds = await self._commands.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def committed(self, group: str) -> Mapping[int, Committed]:
        with unavailable_on_failure(self._commands):
            found = [_find_group(reply, group) for reply in await self._group_infos()]
            if missing := [partition for partition, info in enumerate(found) if info is None]:
                await self._create(group, missing)
                found = [_find_group(reply, group) for reply in await self._group_infos()]
        return {partition: _committed(info) for partition, info in enumerate(found) if info is not None}

    async def marks(self, group: str) -> Mapping[int, Committed]:
        with unavailable_on_failure(self._commands):
            found = [_find_group(reply, group) for reply in await self._group_infos()]
        return {partition: _committed(info) for partition, info in enumerate(found) if info is not None}

    async def holders(self) -> Mapping[int, Holder]:
        with unavailable_on_failure(self._commands):
            return await holders_of(self._commands, range(self._partitions))

    async def commit(self, group: str, positions: Mapping[int, int], entries: Mapping[int, int] | None = None) -> None:
        with unavailable_on_failure(self._commands):
            if missing := await self._set_ids(group, positions, entries or {}):
                log.warning("consumer group was gone; made again", group=group, partitions=missing)
                await self._create(group, missing)
                if await self._set_ids(group, {partition: positions[partition] for partition in missing}, entries or {}):
                    raise LogUnavailable("NOGROUP")

    async def _xread(self, after: Mapping[int, int], limit: int, wait_seconds: float) -> list[Record]:
        """Blocks on a connection of its own, taken from the readers' pool, so that nobody waits behind it."""
        block = ("BLOCK", max(1, int(wait_seconds * 1000))) if wait_seconds > 0 else ()
        keys = [stream_key(partition) for partition in after]
        ids = [entry_id_of_position(position) for position in after.values()]
        reply = await self._readers.execute_command("XREAD", "COUNT", limit, *block, "STREAMS", *keys, *ids)
        streams = reply.items() if isinstance(reply, dict) else reply or ()
        found = [record for key, entries in streams for record in self._records(key, entries)]
        if streams and not found:
            await asyncio.sleep(0.05)  # only entries that no position can name, whose append failed: not a busy loop over them
        return found

    def _records(self, key: bytes, entries: Sequence[Any]) -> list[Record]:
        partition = int(key.rpartition(b":")[2])
        records = []
        for entry_id, fields in entries:
            milliseconds, _, sequence = entry_id.partition(b"-")
            if int(sequence) < SEQUENCE_LIMIT:
                position = position_of_entry_id(entry_id.decode())
                records.append(Record(self._epoch, partition, position, int(milliseconds), _value(fields)))
        return records

    async def _head(self, partition: int, entries: Sequence[tuple[bytes, Any]]) -> int:
        if not entries:
            return START
        entry_id = entries[0][0].decode()
        try:
            return position_of_entry_id(entry_id)
        except PositionOverflow:
            last = f"{entry_id.partition('-')[0]}-{SEQUENCE_LIMIT - 1}"
            return await self._head(partition, await self._commands.xrevrange(stream_key(partition), max=last, count=1))

    async def _group_infos(self) -> list[Any]:
        async with self._commands.pipeline(transaction=False) as pipeline:
            for partition in range(self._partitions):
                pipeline.xinfo_groups(stream_key(partition))
            return await _replies(pipeline)

    async def _create(self, group: str, partitions: Sequence[int]) -> None:
        async with self._commands.pipeline(transaction=False) as pipeline:
            for partition in partitions:
                pipeline.xgroup_create(stream_key(partition), group, id="0", mkstream=True)
            for reply in await pipeline.execute(raise_on_error=False):
                if isinstance(reply, Exception) and "BUSYGROUP" not in str(reply):
                    raise reply

    async def _set_ids(self, group: str, positions: Mapping[int, int], entries: Mapping[int, int]) -> list[int]:
        """Set the marks; returns the partitions where the group, or the stream itself, is gone."""
        async with self._commands.pipeline(transaction=False) as pipeline:
            for partition, position in positions.items():
                count = ("ENTRIESREAD", entries[partition]) if partition in entries else ()
                entry_id = entry_id_of_position(position)
                pipeline.execute_command("XGROUP SETID", stream_key(partition), group, entry_id, *count)
            replies = await _replies(pipeline)
        return [partition for partition, reply in zip(positions, replies, strict=True) if reply is None]


async def _replies(pipeline: Any) -> list[Any]:
    """The replies, None where there is no such group or stream; any other error is raised."""
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    for number, reply in enumerate(replies):
        if isinstance(reply, ResponseError) and (
            "NOGROUP" in str(reply) or "no such key" in str(reply) or "key to exist" in str(reply)
        ):
            replies[number] = None
        elif isinstance(reply, Exception):
            raise reply
    return replies


def _find_group(groups: Sequence[Mapping[str, Any]] | None, group: str) -> Mapping[str, Any] | None:
    return next((info for info in groups or () if info["name"] == group.encode()), None)


def _committed(info: Mapping[str, Any]) -> Committed:
    """A mark that was set without a count has no `entries-read`, and no lag but at the start and the head (measured)."""
    position = position_of_entry_id(info["last-delivered-id"].decode())
    entries = 0 if position == START else info.get("entries-read")
    return Committed(position, info.get("lag"), entries)


def _value(fields: Sequence[bytes]) -> bytes:
    """The bytes of the event; an entry that has none is undecodable."""
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if name == FIELD:
            return value
    return b""
