"""
Which generation of the log is the current one, and steps that must not happen in another.

`prosa:meta` tells the epoch. Streams are made when a generation begins and not by an append, so that a process that sleeps
through a switch finds no stream any more, instead of making one that nobody reads. Each script is one step.
"""

from typing import Any

from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIELD, FIRST_EPOCH, META_KEY, stream_key
from streams.engines.redis_opening import open_log
from streams.engines.redis_scripts import MAKE_STREAM

IN_THIS_EPOCH = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return false end
"""
"""Ends the script where the epoch is another, or no longer recorded."""

APPEND_ANEW = f"{IN_THIS_EPOCH} return redis.call('XADD', KEYS[2], '*', ARGV[2], ARGV[3])"

CREATE_GROUP = f"""
{MAKE_STREAM}
{IN_THIS_EPOCH}
make_stream(KEYS[2])
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[2], ARGV[2], '0')
if type(answer) == 'table' and answer.err and not string.find(answer.err, 'BUSYGROUP') then return answer end
return 1
"""


class Generations:
    """The generations of one log. Its methods raise what the client raises."""

    def __init__(self, client: Client, partitions: int) -> None:
        self._client = client
        self._partitions = partitions
        self._append_anew = client.register_script(APPEND_ANEW)
        self._create_group = client.register_script(CREATE_GROUP)

    async def open(self, epoch: int = FIRST_EPOCH) -> int:
        """As `open_log`: what the record is at a process' start, and again where it was lost under one that knows this epoch."""
        return await open_log(self._client, self._partitions, epoch=epoch)

    async def current(self) -> int | None:
        """The epoch; None where the log's record is gone."""
        found = await self._client.hget(META_KEY, "epoch")
        return None if found is None else int(found)

    async def append_anew(self, epoch: int, partition: int, value: bytes) -> bytes | None:
        """Append to a stream that was deleted, and so make it again; None where the epoch is another by now."""
        keys, args = [META_KEY, stream_key(partition, epoch)], [epoch, FIELD, value]
        entry_id: Any = await self._append_anew(keys=keys, args=args)
        return None if entry_id is None else bytes(entry_id)

    async def create_group(self, epoch: int, partition: int, group: str) -> bool:
        """Make a group at the first entry, and its stream if that was deleted; false where the epoch is another by now."""
        if await self.current() is None:
            await self.open(epoch)
        return bool(await self._create_group(keys=[META_KEY, stream_key(partition, epoch)], args=[epoch, group]))
