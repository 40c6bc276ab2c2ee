"""
Leases on Redis: one key per partition that lives as long as its owner renews it.

Every step is one script, so that nobody sees half of it. `prosa:holders` remembers who took a partition until it is given back
gracefully; `prosa:members` holds the live members, scored by the server's clock.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields

from streams.engines.redis_connection import Client, unavailable_on_failure
from streams.log import Holder
from streams.ownership import Takeover
from streams.suspicion import Suspicion

MEMBERS_KEY = "prosa:members"
HOLDERS_KEY = "prosa:holders"
TAKEOVER_NUMBERS_KEY = "prosa:takeover-numbers"

RENEW = """
local time = redis.call('TIME')
local now, life = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - life))
local answer = {redis.call('ZCARD', KEYS[1])}
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('PEXPIRE', KEYS[i], life)
    answer[#answer + 1] = tonumber(ARGV[i + 1])
  end
end
return answer
"""

CLAIM = """
local answer = {}
for i = 3, #KEYS do
  if #answer == tonumber(ARGV[3]) then break end
  local holder = redis.call('GET', KEYS[i])
  if not holder or holder == ARGV[1] then
    local partition = ARGV[i + 1]
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
    local before = redis.call('HGET', KEYS[1], partition)
    redis.call('HSET', KEYS[1], partition, ARGV[1])
    local number = redis.call('HINCRBY', KEYS[2], partition, 1)
    local graceful = (not before or before == ARGV[1]) and 1 or 0
    answer[#answer + 1] = {tonumber(partition), number, graceful}
  end
end
return answer
"""

RELEASE = """
if redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[2]) end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
"""


@dataclass(frozen=True, slots=True)
class Renewed:
    """How many members live, and which leases are still ours."""

    members: int
    kept: frozenset[int]


def lease_key(partition: int) -> str:
    return f"prosa:lease:{partition}"


async def holders_of(client: Client, partitions: Collection[int]) -> dict[int, Holder]:
    """Who holds these leases; for who only looks, and may raise what the client does."""
    async with client.pipeline(transaction=True) as pipeline:
        for partition in partitions:
            pipeline.get(lease_key(partition)).pttl(lease_key(partition))
        replies = await pipeline.execute()
    found = zip(partitions, replies[::2], replies[1::2], strict=True)
    return {partition: Holder(member.decode(), max(0, life_ms) / 1000) for partition, member, life_ms in found if member}


class RedisLeases:
    """The leases as one member sees them. Every method raises `LogUnavailable`."""

    def __init__(self, client: Client, member: str, lease_seconds: float) -> None:
        self.member = member
        self._client = client
        self._life_ms = int(lease_seconds * 1000)
        self._renew = client.register_script(RENEW)
        self._claim = client.register_script(CLAIM)
        self._release = client.register_script(RELEASE)

    async def renew(self, partitions: Collection[int]) -> Renewed:
        """Tell that we live, and renew by compare-and-set."""
        keys = [MEMBERS_KEY, *map(lease_key, partitions)]
        with unavailable_on_failure(self._client):
            members, *kept = await self._renew(keys=keys, args=[self.member, self._life_ms, *partitions])
        return Renewed(members, frozenset(kept))

    async def members(self) -> int:
        """How many members have told lately that they live."""
        with unavailable_on_failure(self._client):
            return int(await self._client.zcard(MEMBERS_KEY))

    async def free(self, partitions: Collection[int]) -> list[int]:
        """Which of these nobody holds."""
        with unavailable_on_failure(self._client):
            holders = await self._client.mget([lease_key(partition) for partition in partitions])
        return [partition for partition, holder in zip(partitions, holders, strict=True) if holder is None]

    async def claim(self, partitions: Collection[int], most: int) -> list[Takeover]:
        """
        Take free partitions, in this order.

        A lease that bears our name counts as free: the answer to our claim was lost. Nor is it an ungraceful takeover when we
        held the partition before: this process has not ended.
        """
        keys = [HOLDERS_KEY, TAKEOVER_NUMBERS_KEY, *map(lease_key, partitions)]
        with unavailable_on_failure(self._client):
            taken = await self._claim(keys=keys, args=[self.member, self._life_ms, most, *partitions])
        return [Takeover(partition, number, bool(graceful)) for partition, number, graceful in taken]

    async def release(self, partition: int) -> None:
        """Give back by compare-and-delete. Also after a lease was lost: this process lives, and its work is cancelled."""
        with unavailable_on_failure(self._client):
            await self._release(keys=[HOLDERS_KEY, lease_key(partition)], args=[self.member, partition])

    async def leave(self) -> None:
        """Be no member any more."""
        with unavailable_on_failure(self._client):
            await self._client.zrem(MEMBERS_KEY, self.member)

    async def suspicion(self, group: str, partition: int) -> Suspicion:
        """What the group remembers of takeovers; only the owner asks and writes."""
        with unavailable_on_failure(self._client):
            found = await self._client.hget(f"prosa:takeovers:{group}", str(partition))
        remembered = json.loads(found) if found else {}
        return Suspicion(**{each.name: remembered[each.name] for each in fields(Suspicion) if each.name in remembered})

    async def remember(self, group: str, partition: int, suspicion: Suspicion) -> None:
        with unavailable_on_failure(self._client):
            await self._client.hset(f"prosa:takeovers:{group}", str(partition), json.dumps(asdict(suspicion)))
