"""What stands in the streams of one generation: the entries after a position, and where each stream ends."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from streams.engines.redis_agreement import require_epoch
from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIELD, META_KEY, stream_key
from streams.errors import PositionOverflow
from streams.log import Record
from streams.partitions import SEQUENCE_LIMIT, START, entry_id_of_position, position_of_entry_id


async def records_after(
    readers: Client, epoch: int, after: Mapping[int, int], *, limit: int, wait_seconds: float
) -> list[Record]:
    """
    Up to so many records after these positions; none where there are none within that time. Raises what the client raises.

    It blocks on a connection of its own, taken from the readers' pool, so that nobody waits behind it.
    """
    block = ("BLOCK", max(1, int(wait_seconds * 1000))) if wait_seconds > 0 else ()
    keys = [stream_key(partition, epoch) for partition in after]
    ids = [entry_id_of_position(position) for position in after.values()]
    reply = await readers.execute_command("XREAD", "COUNT", limit, *block, "STREAMS", *keys, *ids)
    streams = reply.items() if isinstance(reply, dict) else reply or ()
    found = [record for key, entries in streams for record in _records(epoch, key, entries)]
    if streams and not found:
        await asyncio.sleep(0.05)  # only entries that no position can name, whose append failed: not a busy loop over them
    return found


async def heads_of(client: Client, epoch: int, partitions: int) -> dict[int, int]:
    """The last position of each. Raises `EpochChanged` where another generation has begun, and what the client raises."""
    async with client.pipeline(transaction=False) as pipeline:
        for partition in range(partitions):
            pipeline.xrevrange(stream_key(partition, epoch), count=1)
        pipeline.hget(META_KEY, "epoch")
        *replies, current = await pipeline.execute()
    require_epoch(epoch, current)
    return {partition: await _head(client, stream_key(partition, epoch), reply) for partition, reply in enumerate(replies)}


def _records(epoch: int, key: bytes, entries: Sequence[Any]) -> list[Record]:
    partition = int(key.rpartition(b":")[2])
    records = []
    for entry_id, fields in entries:
        milliseconds, _, sequence = entry_id.partition(b"-")
        if int(sequence) < SEQUENCE_LIMIT:
            position = position_of_entry_id(entry_id.decode())
            records.append(Record(epoch, partition, position, int(milliseconds), _value(fields)))
    return records


async def _head(client: Client, key: str, entries: Sequence[tuple[bytes, Any]]) -> int:
    if not entries:
        return START
    entry_id = entries[0][0].decode()
    try:
        return position_of_entry_id(entry_id)
    except PositionOverflow:
        last = f"{entry_id.partition('-')[0]}-{SEQUENCE_LIMIT - 1}"
        return await _head(client, key, await client.xrevrange(key, max=last, count=1))


def _value(fields: Sequence[bytes]) -> bytes:
    """The bytes of the event; an entry that has none is undecodable."""
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if name == FIELD:
            return value
    return b""
