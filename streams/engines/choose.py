"""From the settings to the engine that they name."""

from settings import Environment, Settings, StreamEngine
from streams.engines.redis_log import RedisEventLog
from streams.errors import ConfigurationError


def event_log(settings: Settings) -> RedisEventLog:
    """The log as the settings configure it, not yet connected. Raises `ConfigurationError` for an engine that is not there."""
    if settings.stream_engine is not StreamEngine.REDIS:
        raise ConfigurationError(f"STREAM_ENGINE {settings.stream_engine} is not available; use redis")
    return RedisEventLog(
        settings.redis_url.get_secret_value(),
        partitions=settings.stream_partitions,
        production=settings.environment is Environment.PRODUCTION,
        vouched=settings.redis_persistence_vouched,
    )
