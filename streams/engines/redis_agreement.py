"""
Whether a stream holds an entry that was consumed. What Redis knows of the stream tells a lost entry from a deleted one.

`max-deleted-entry-id` covers XDEL. XTRIM leaves no such trace, but the stream then begins later than it did and counts more
entries added than it has, which one that was emptied and filled anew does not. Measured on Valkey 9.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from redis.exceptions import ResponseError

from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIELD, META_KEY, stream_key
from streams.errors import EpochChanged
from streams.log import Consumed
from streams.partitions import START, entry_id_of_position, position_of_entry_id


async def disagreements_of(client: Client, epoch: int, consumed: Mapping[int, Consumed]) -> dict[int, str]:
    """What `EventLog.disagreements` tells and raises; and what the client raises."""
    current, found = await _compare(client, epoch, consumed)
    require_epoch(epoch, current)
    return found


async def disagreements_in(client: Client, epoch: int, consumed: Mapping[int, Consumed]) -> dict[int, str]:
    """The same, whatever the log's record says of this generation."""
    _, found = await _compare(client, epoch, consumed)
    return found


async def _compare(client: Client, epoch: int, consumed: Mapping[int, Consumed]) -> tuple[bytes | None, dict[int, str]]:
    """The epoch that is recorded, and the disagreements."""
    compared = {partition: each for partition, each in consumed.items() if each.position != START}
    current, entries = await _look(client, epoch, compared)
    found: dict[int, str] = {}
    for partition, each in compared.items():
        entry = entries[partition]
        if entry is None:
            if sentence := await _why_missing(client, stream_key(partition, epoch), each.position):
                found[partition] = sentence
        elif each.digest is not None and sha256(entry).digest() != each.digest:
            found[partition] = f"the log has another entry {entry_id_of_position(each.position)} than was consumed"
    if found:
        current = await client.hget(META_KEY, "epoch")  # may have changed between the looks
    return current, found


def require_epoch(epoch: int, current: bytes | None) -> None:
    """Raise `EpochChanged` where the log's record, looked up after everything else, names another generation."""
    if current is not None and int(current) != epoch:
        raise EpochChanged(f"generation {epoch} of the log is over; {int(current)} has begun")


async def _look(client: Client, epoch: int, consumed: Mapping[int, Consumed]) -> tuple[bytes | None, dict[int, bytes | None]]:
    """The current epoch, and the entries' bytes; None for one that is not there."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.hget(META_KEY, "epoch")
        for partition, each in consumed.items():
            entry_id = entry_id_of_position(each.position)
            pipeline.xrange(stream_key(partition, epoch), entry_id, entry_id)
        current, *replies = await pipeline.execute()
    return current, {partition: _value(reply) for partition, reply in zip(consumed, replies, strict=True)}


def _value(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> bytes | None:
    return entries[0][1].get(FIELD, b"") if entries else None


@dataclass(frozen=True, slots=True)
class _Stream:
    """What XINFO tells; positions, where an id can be one."""

    length: int
    added: int
    first: int
    last: int
    deleted_up_to: int


async def _why_missing(client: Client, key: str, position: int) -> str | None:
    """How the stream came to be without this entry; None where that was meant."""
    stream = await _stream(client, key)
    if stream is None:
        return "its stream is gone from the log"
    entry_id = entry_id_of_position(position)
    if stream.last < position:
        end = "is empty" if stream.last == START else f"ends at {entry_id_of_position(stream.last)}"
        return f"the log {end}, and {entry_id} was consumed"
    was_trimmed = stream.added > stream.length and not START < stream.first < position
    if was_trimmed or stream.deleted_up_to >= position:
        return None
    return f"the log goes on after {entry_id}, which was consumed, and does not have it"


async def _stream(client: Client, key: str) -> _Stream | None:
    try:
        info: dict[str, Any] = await client.xinfo_stream(key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    first = info["first-entry"]
    return _Stream(
        length=info["length"],
        added=info["entries-added"],
        first=_position(first[0]) if first else START,
        last=_position(info["last-generated-id"]),
        deleted_up_to=_position(info["max-deleted-entry-id"]),
    )


def _position(entry_id: bytes) -> int:
    """One whose sequence is beyond any position counts as the last of its millisecond."""
    milliseconds, _, sequence = entry_id.decode().partition("-")
    limited = min(int(sequence), (1 << 20) - 1)
    return position_of_entry_id(f"{milliseconds}-{limited}")
