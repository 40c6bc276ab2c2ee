"""
Which generation of the log is the current one, and steps that must not happen in another.

`prosa:meta` tells the epoch. A stream is made at the first start of the log and never by an append, so that a process that
sleeps through a switch finds no stream any more, instead of making one that nobody reads. Each script is one step.
"""

from typing import Any

from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIELD, FIRST_EPOCH, META_KEY, stream_key

MAKE_STREAM = """
local function make_stream(key)
  if redis.call('EXISTS', key) == 0 then
    redis.call('XGROUP', 'CREATE', key, 'prosa:making', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', key, 'prosa:making')
  end
end
"""

OPEN = f"""
{MAKE_STREAM}
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2]) == 1 then
  for i = 2, #KEYS do make_stream(KEYS[i]) end
end
"""

IN_THIS_EPOCH = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  redis.call('HSETNX', KEYS[1], 'partitions', ARGV[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
  epoch = ARGV[1]
end
if epoch ~= ARGV[1] then return false end
"""
"""Ends the script where the epoch is another; a log that was emptied gets its record back."""

APPEND_ANEW = f"{IN_THIS_EPOCH} return redis.call('XADD', KEYS[2], '*', ARGV[3], ARGV[4])"

CREATE_GROUP = f"""
{MAKE_STREAM}
{IN_THIS_EPOCH}
make_stream(KEYS[2])
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[2], ARGV[3], '0')
if type(answer) == 'table' and answer.err and not string.find(answer.err, 'BUSYGROUP') then return answer end
return 1
"""


class Generations:
    """The generations of one log. Its methods raise what the client raises."""

    def __init__(self, client: Client, partitions: int) -> None:
        self._client = client
        self._partitions = partitions
        self._open = client.register_script(OPEN)
        self._append_anew = client.register_script(APPEND_ANEW)
        self._create_group = client.register_script(CREATE_GROUP)

    async def open(self) -> None:
        """Record what the log is and make its streams, if this is its first start."""
        keys = [META_KEY, *map(stream_key, range(self._partitions))]
        await self._open(keys=keys, args=[self._partitions, FIRST_EPOCH])

    async def current(self) -> int | None:
        """The epoch; None where the log's record is gone."""
        found = await self._client.hget(META_KEY, "epoch")
        return None if found is None else int(found)

    async def append_anew(self, epoch: int, partition: int, value: bytes) -> bytes | None:
        """Append to a stream that was deleted, and so make it again; None where the epoch is another by now."""
        args = [epoch, self._partitions, FIELD, value]
        entry_id: Any = await self._append_anew(keys=[META_KEY, stream_key(partition, epoch)], args=args)
        return None if entry_id is None else bytes(entry_id)

    async def create_group(self, epoch: int, partition: int, group: str) -> bool:
        """Make a group at the first entry, and its stream if that was deleted; false where the epoch is another by now."""
        args = [epoch, self._partitions, group]
        return bool(await self._create_group(keys=[META_KEY, stream_key(partition, epoch)], args=args))
