"""
Which generation a log is in: told by its record, and by its streams where that was lost or is older than they are.

Laws. Whatever is called a generation's stream is or was live, so the newest of them is the log's; the record never goes back.
Streams of an older generation stand beside it only where a process began one without knowing better. Their entries were
acknowledged: they are gathered at the end of the newest, in their order, before the record names it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from structlog import get_logger

from streams.crash_points import reached
from streams.engines.redis_connection import Client
from streams.engines.redis_keys import FIRST_EPOCH, META_KEY, stream_key
from streams.engines.redis_scripts import MAKE_STREAM, TAKE_ALONG
from streams.errors import LogMismatch

GATHER_AT_MOST = 2000
"""Entries of one step, so that it holds the server up for milliseconds only."""
SCAN_AT_ONCE = 1000

LIVE = re.compile(r"prosa:log:(?:(\d+):)?(\d+)")
RETIRED = re.compile(r"prosa:retired:(\d+):\d+")

OPEN = f"""
{MAKE_STREAM}
{TAKE_ALONG}
local function stream_key(epoch, partition)
  if epoch == 1 then return 'prosa:log:' .. partition end
  return string.format('prosa:log:%.0f:%.0f', epoch, partition)
end

local meta, partitions, epoch, at_most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local recorded = redis.call('HMGET', meta, 'partitions', 'epoch')
if recorded[1] and tonumber(recorded[1]) ~= partitions then return {{'recorded', recorded[1]}} end
local before = tonumber(recorded[2] or 0)
epoch = math.max(epoch, before)

local standing, newest, told = {{}}, 0, 0
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    local each = {{KEYS[i], tonumber(ARGV[i * 2]), tonumber(ARGV[i * 2 + 1])}}
    standing[#standing + 1] = each
    if each[2] > newest then newest, told = each[2], 0 end
    if each[2] == newest then told = math.max(told, each[3] + 1) end
  end
end
epoch = math.max(epoch, newest)
if not recorded[1] and newest > 0 and told ~= partitions then return {{'standing', tostring(told)}} end

local gathered = 0
for _, each in ipairs(standing) do
  if each[2] < epoch and each[3] < partitions then
    local entries = redis.call('XRANGE', each[1], '-', '+', 'COUNT', at_most - gathered)
    take_along(entries, stream_key(epoch, each[3]))
    for _, entry in ipairs(entries) do redis.call('XDEL', each[1], entry[1]) end
    gathered = gathered + #entries
    if gathered >= at_most then return {{'gathering', tostring(gathered)}} end
    redis.call('UNLINK', each[1])
  end
end
redis.call('HSET', meta, 'partitions', partitions, 'epoch', epoch)
if epoch ~= before then
  for n = 0, partitions - 1 do make_stream(stream_key(epoch, n)) end
end
return {{'open', tostring(gathered), tostring(epoch), tostring(before), newest > 0 and 'streams' or ''}}
"""
"""One step. What it takes away from a stream stands in another one by then; only a stream without entries is unlinked."""

log = get_logger("prosa.log")


@dataclass(frozen=True, slots=True)
class _Standing:
    """The streams that there are, by epoch and partition, and the newest generation that is kept."""

    live: Collection[tuple[int, int]]
    retired: int


async def open_log(client: Client, partitions: int, *, epoch: int) -> int:
    """
    Record what the log is, and make its streams where it is new; returns the epoch, this one at least.

    Raises `LogMismatch` where record or streams tell of another number of partitions, and what the client raises.
    """
    script, gathered = client.register_script(OPEN), 0
    while True:
        found = await _standing(client)
        places = [place for each in sorted(found.live) for place in each]
        keys = [META_KEY, *(stream_key(partition, each) for each, partition in sorted(found.live))]
        answer: Any = await script(keys=keys, args=[partitions, max(epoch, found.retired + 1), GATHER_AT_MOST, *places])
        match [part.decode() for part in answer]:
            case ["recorded", told]:
                raise LogMismatch(f"the log has {told} partitions; STREAM_PARTITIONS says {partitions}")
            case ["standing", told]:
                raise LogMismatch(
                    f"{META_KEY} is gone, and the streams tell of {told} partitions; STREAM_PARTITIONS says {partitions}: set it"
                    f" right or, where streams are gone too, say HSET {META_KEY} partitions {partitions}"
                )
            case ["gathering", number]:
                gathered += int(number)
                reached("log.gathering")
            case [_, number, current, before, streams]:
                _tell(int(current), int(before), gathered + int(number), has_streams=bool(streams))
                return int(current)


async def newest_generation(client: Client) -> int:
    """The epoch that `open_log` would find; this only looks. Raises what the client raises."""
    recorded, found = await client.hget(META_KEY, "epoch"), await _standing(client)
    return max(FIRST_EPOCH, int(recorded or 0), found.retired + 1, *(epoch for epoch, _ in found.live))


def _tell(epoch: int, before: int, gathered: int, *, has_streams: bool) -> None:
    if has_streams and (epoch != before or gathered):
        log.error(
            "record.made_again",
            reason="the log's record was lost, or older than its streams",
            epoch=epoch,
            before=before or None,
            gathered=gathered,
            remedy="find out what Redis lost: prosa doctor",
        )


async def _standing(client: Client) -> _Standing:
    live, retired = set[tuple[int, int]](), 0
    async for key in client.scan_iter(match="prosa:*", count=SCAN_AT_ONCE):
        name = key.decode(errors="replace")
        if found := LIVE.fullmatch(name):
            live.add((int(found[1] or 1), int(found[2])))
        elif found := RETIRED.match(name):
            retired = max(retired, int(found[1]))
    return _Standing(live, retired)
