"""What several scripts do: Lua that goes in front of theirs."""

from streams.partitions import SEQUENCE_LIMIT

MAKE_STREAM = """
local function make_stream(key)
  if redis.call('EXISTS', key) == 0 then
    redis.call('XGROUP', 'CREATE', key, 'prosa:making', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', key, 'prosa:making')
  end
end
"""

TAKE_ALONG = f"""
local function parts(id)
  local ms, sequence = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(sequence)
end

local function last_id(key)
  if redis.call('EXISTS', key) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

local function take_along(entries, key)
  local ms, sequence = parts(last_id(key))
  for _, entry in ipairs(entries) do
    local own_ms, own_sequence = parts(entry[1])
    if own_sequence < {SEQUENCE_LIMIT} then
      if own_ms > ms or (own_ms == ms and own_sequence > sequence) then
        ms, sequence = own_ms, own_sequence
      else
        sequence = sequence + 1
        if sequence >= {SEQUENCE_LIMIT} then ms, sequence = ms + 1, 0 end
      end
      redis.call('XADD', key, string.format('%.0f-%.0f', ms, sequence), unpack(entry[2]))
    end
  end
end
"""
"""
`take_along` adds entries of another stream at a stream's end: each keeps its id, or gets the next one where that is taken.

An entry that no position can name is left behind: its append failed.
"""
