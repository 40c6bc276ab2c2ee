"""A rate that all processes keep together: Redis hands out the times at which something may be done, one after the other."""

from math import ceil

from streams.engines.redis_connection import connect, unavailable_on_failure

COMMAND_SECONDS = 3.0
CONNECTIONS = 4

AHEAD_SECONDS = 1.0
"""Nobody takes a time further away: who then does not use it, for its process ended, wastes little."""

RESERVE = """
local time = redis.call('TIME')
local now, interval, ahead = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local free = tonumber(redis.call('GET', KEYS[1]) or now)
local is_clock_set_back = free > now + ahead + interval
if free < now or is_clock_set_back then free = now end
if free > now + ahead then return -1 end
local following = string.format('%.0f', free + interval)
redis.call('SET', KEYS[1], following, 'PX', math.ceil((following - now) / 1000))
return free - now
"""
"""Times are the server's, in microseconds since 1970."""


class RedisRateLimit:
    """For each key at most `per_second` times a second, evenly spaced, for whoever asks with the same rate."""

    def __init__(self, url: str, per_second: float) -> None:
        self._client = connect(url, connections=CONNECTIONS, timeout_seconds=COMMAND_SECONDS)
        self._reserve = self._client.register_script(RESERVE)
        self._interval_microseconds = ceil(1_000_000 / per_second)

    async def reserve(self, key: str) -> float | None:
        """
        Seconds until the time that is now the caller's; None where the next `AHEAD_SECONDS` are taken, to be asked again then.

        Raises `LogUnavailable`.
        """
        with unavailable_on_failure(self._client):
            wait = await self._reserve(
                keys=[f"prosa:rate:{key}"], args=[self._interval_microseconds, round(AHEAD_SECONDS * 1_000_000)]
            )
        return None if wait < 0 else wait / 1_000_000

    async def close(self) -> None:
        await self._client.aclose()
