"""
Writing a new generation of the log beside the old one, and switching to it in one step.

The new one has another name before the switch, so that nobody reads it, appends to it, or takes it for a generation that was ever
live; the old streams are kept under other names afterwards. Webhooks may append to the old one all the while: the switch itself
takes along what was appended since the last look.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIELD, META_KEY, retired_key, rewriting_key, stream_key
from streams.engines.redis_leases import lease_key
from streams.engines.redis_scripts import TAKE_ALONG
from streams.log import Mark
from streams.partitions import SEQUENCE_LIMIT, START, entry_id_of_position, position_of_entry_id

AT_ONCE = 500
"""Entries of one round trip."""
SWITCH_AT_MOST = 2000
"""Entries that the switch itself may take along, so that it holds the server up for milliseconds only."""

SWITCH = f"""
{TAKE_ALONG}
local meta, from, to, member, count = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', meta, 'epoch') ~= from then return 'epoch' end
local tails, total = {{}}, 0
for n = 0, count - 1 do
  local old, written, new, lease = KEYS[2 + n * 5], KEYS[3 + n * 5], KEYS[4 + n * 5], KEYS[6 + n * 5]
  if redis.call('GET', lease) ~= member then return 'lease' end
  if redis.call('EXISTS', new) == 1 then return 'epoch' end
  local newest = redis.call('XREVRANGE', written, '+', '-', 'COUNT', 1)[1]
  local top = newest and newest[1] or '0-0'
  if redis.call('XLEN', written) ~= tonumber(ARGV[7 + n * 3]) or top ~= ARGV[6 + n * 3] then return 'altered' end
  tails[n] = redis.call('XRANGE', old, '(' .. ARGV[5 + n * 3], '+', 'COUNT', {SWITCH_AT_MOST})
  total = total + #tails[n]
end
if total >= {SWITCH_AT_MOST} then return 'behind' end
for n = 0, count - 1 do
  local old, written, new, retired = KEYS[2 + n * 5], KEYS[3 + n * 5], KEYS[4 + n * 5], KEYS[5 + n * 5]
  take_along(tails[n], written)
  redis.call('RENAMENX', written, new)
  if redis.call('EXISTS', old) == 1 then
    local kept, copies = retired, 1
    while redis.call('RENAMENX', old, kept) == 0 do
      copies = copies + 1
      kept = retired .. ':' .. copies
    end
  end
end
redis.call('HSET', meta, 'epoch', to)
return 'switched'
"""
"""Nothing is ever renamed over something: a retired stream whose name is taken gets a number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream with all its fields."""

    position: int
    fields: Mapping[bytes, bytes]

    @property
    def value(self) -> bytes:
        """The bytes of the event."""
        return self.fields.get(FIELD, b"")


async def entries_of(client: Client, key: str, after: int = START) -> AsyncIterator[Entry]:
    """A stream from a position on, in order, without what no position can name. Raises what the client raises."""
    begin = f"({entry_id_of_position(after)}"
    while found := await client.xrange(key, begin, count=AT_ONCE):
        for entry_id, fields in found:
            if int(entry_id.partition(b"-")[2]) < SEQUENCE_LIMIT:
                yield Entry(position_of_entry_id(entry_id.decode()), fields or {})
        begin = f"({found[-1][0].decode()}"


async def entry_at(client: Client, key: str, position: int) -> Entry | None:
    """One entry of a stream."""
    entry_id = entry_id_of_position(position)
    found = await client.xrange(key, entry_id, entry_id)
    return Entry(position, found[0][1] or {}) if found else None


@dataclass(frozen=True, slots=True)
class Written:
    """One stream of a new generation: up to where the old one was copied to it, where it ends, and how many entries it has."""

    copied: int
    top: int
    entries: int


class NewGeneration:
    """A generation that is being written. Every method raises what the client raises."""

    def __init__(self, client: Client, partitions: int, *, before: int, epoch: int) -> None:
        self.epoch = epoch
        self.before = before
        self._client = client
        self._partitions = partitions
        self._switch = client.register_script(SWITCH)

    async def clear(self) -> None:
        """Remove what unfinished tries have left: these names only, which no generation has that was ever live."""
        epochs = range(self.before + 1, self.epoch + 1)
        await self._client.unlink(*(rewriting_key(partition, epoch) for epoch in epochs for partition in range(self._partitions)))

    async def write(self, partition: int, entries: Collection[Entry]) -> None:
        """Add entries; they are durable when this returns."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for entry in entries:
                pipeline.xadd(rewriting_key(partition, self.epoch), dict(entry.fields), id=entry_id_of_position(entry.position))
            await pipeline.execute()

    async def set_marks(self, partition: int, marks: Mapping[str, Mark]) -> None:
        """Make the groups with their marks; the stream too, where the partition is empty."""
        key = rewriting_key(partition, self.epoch)
        for group, mark in marks.items():
            entry_id, count = entry_id_of_position(mark.position), mark.entries or 0
            await self._client.execute_command("XGROUP CREATE", key, group, entry_id, "MKSTREAM", "ENTRIESREAD", count)

    async def switch(self, member: str, written: Sequence[Written]) -> str:
        """
        Take along what the old streams have since they were copied, and begin the new generation.

        Returns `switched`; or, with nothing done: `behind` where too much is to be taken along, `lease` where not every lease is
        held by this member any more, `epoch` where another generation has begun, `altered` where the new streams are not what was
        written: a switch whose answer was lost may run after its generation was cleared, and another repair may have cleared it.
        """
        keys = [META_KEY]
        places: list[Any] = []
        for partition in range(self._partitions):
            keys += [stream_key(partition, self.before), rewriting_key(partition, self.epoch), stream_key(partition, self.epoch)]
            keys += [retired_key(partition, self.before), lease_key(partition)]
            each = written[partition]
            places += [entry_id_of_position(each.copied), entry_id_of_position(each.top), each.entries]
        answer: bytes = await self._switch(keys=keys, args=[self.before, self.epoch, member, self._partitions, *places])
        return answer.decode()


async def batches(entries: AsyncIterator[Entry]) -> AsyncIterator[list[Entry]]:
    """So many as go in one round trip."""
    batch: list[Entry] = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
