"""The two servers that a repair brings together: the log's and the read model's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from operations.errors import ActRefused
from projections.database import Database
from settings import Settings
from streams.engines.redis_connection import Client, connect, unavailable_on_failure

COMMAND_SECONDS = 10.0
BYTES_OF_AN_ENTRY = 1100
"""Memory that an entry takes in Redis: 7 KB for the seven events of an answered message, and a margin."""


@dataclass(frozen=True, slots=True)
class System:
    """The log and the read model, as a repair sees them. `lease_seconds` is how long a worker's lease may outlive it."""

    redis: Client
    database: Database
    partitions: int
    lease_seconds: float


@asynccontextmanager
async def repairable(settings: Settings) -> AsyncIterator[System]:
    """The log and the read model of these settings."""
    redis: Client = connect(settings.redis_url.get_secret_value(), connections=4, timeout_seconds=COMMAND_SECONDS)
    database = Database(settings.database_url.get_secret_value(), max_connections=2)
    try:
        yield System(redis, database, settings.stream_partitions, settings.lease_seconds)
    finally:
        await database.close()
        await redis.aclose()


async def require_room(system: System, entries: int) -> None:
    """Raise `ActRefused` where Redis has no room for so many entries more: at its limit it would refuse every append."""
    with unavailable_on_failure(system.redis):
        info = await system.redis.info("memory")
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    needed = entries * BYTES_OF_AN_ENTRY
    if limit and used + needed > limit:
        left = f"{needed >> 20} MB are needed beside the old generation, {max(0, limit - used) >> 20} MB are left"
        raise ActRefused(f"Redis has no room: about {left}; raise maxmemory first")
