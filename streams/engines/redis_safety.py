"""Whether a Redis may hold the log: one that evicts, or acknowledges what it has not written, may not."""

from typing import Any

from redis.exceptions import ResponseError
from structlog import get_logger

from streams.engines.redis_connection import Client
from streams.errors import ConfigurationError, UnsafeLog

OLDEST_VERSION = (7, 0)

REMEDIES = {
    "appendonly": ("yes", "nothing survives a restart of the server; set appendonly yes"),
    "appendfsync": ("always", "a power cut loses acknowledged events; set appendfsync always"),
    "maxmemory-policy": ("noeviction", "the server may evict the log; set maxmemory-policy noeviction"),
}
HIDDEN = "the server hides its CONFIG; set REDIS_PERSISTENCE_VOUCHED=true if it persists every write and never evicts"

log = get_logger("prosa.log")


async def refuse_unsafe(client: Client, *, production: bool, vouched: bool) -> None:
    """Raise `UnsafeLog` in production, with the remedy; in development say it aloud and go on."""
    await _refuse_old(client)
    problems = [] if vouched else await _problems(client)
    if problems and production:
        raise UnsafeLog("; ".join(problems))
    for problem in problems:
        log.warning("log.unsafe", problem=problem)


async def _refuse_old(client: Client) -> None:
    info: dict[str, Any] = await client.info("server")
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        raise ConfigurationError(f"REDIS_URL names a server of version {version}; the log needs Redis 7.0 or newer, or Valkey")


async def configuration_of(client: Client) -> dict[str, str]:
    """What the server says of itself under the names of `REMEDIES`; nothing where it hides its CONFIG."""
    config: dict[str, str] = {}
    try:
        for name in REMEDIES:
            config |= await client.config_get(name)
    except ResponseError:
        return {}
    return config


async def _problems(client: Client) -> list[str]:
    config = await configuration_of(client)
    if not config:
        return [HIDDEN]
    return [remedy for name, (safe, remedy) in REMEDIES.items() if config.get(name) != safe]
