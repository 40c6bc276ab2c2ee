"""What is looked at: the settings, and through them the log and the read model."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from projections.database import Database
from settings import Environment, Problem, Settings
from settings.addresses import server_of
from streams.engines.redis_connection import Client, connect
from streams.engines.redis_log import RedisEventLog
from streams.errors import ConfigurationError

REDIS_URL = "REDIS_URL"
CONNECT_SECONDS = 3.0
REDIS_PORT = 6379
POSTGRES_PORT = 5432


@dataclass(frozen=True, slots=True)
class System:
    """
    One system as its settings name it; nothing is connected before the first look.

    `problems` are the settings that could not be read: in `settings` the default stands for each. `directory` is where the
    embedded servers keep their data, if it is they that run.
    """

    settings: Settings
    problems: Sequence[Problem]
    redis: Client
    log: RedisEventLog
    database: Database
    directory: Path | None = None

    @property
    def is_production(self) -> bool:
        return self.settings.environment is Environment.PRODUCTION

    @property
    def log_server(self) -> str:
        return server_of(self.settings.redis_url.get_secret_value(), REDIS_PORT)

    @property
    def database_server(self) -> str:
        return server_of(self.settings.database_url.get_secret_value(), POSTGRES_PORT)


@asynccontextmanager
async def opened(settings: Settings, problems: Sequence[Problem] = (), *, directory: Path | None = None) -> AsyncIterator[System]:
    """The system of these settings, for as long as it is looked at; an address that no client takes is a problem like others."""
    try:
        redis = _client_of(settings)
    except ConfigurationError as refused:
        problems = [*problems, Problem(REDIS_URL, str(refused).removeprefix(f"{REDIS_URL} ").partition(";")[0])]
        settings = settings.model_copy(update={"redis_url": Settings.model_fields[REDIS_URL.lower()].default})
        redis = _client_of(settings)
    log = RedisEventLog(settings.redis_url.get_secret_value(), partitions=settings.stream_partitions)
    database = Database(settings.database_url.get_secret_value(), max_connections=4)
    try:
        yield System(settings, problems, redis, log, database, directory)
    finally:
        await database.close()
        await log.close()
        await redis.aclose()


def _client_of(settings: Settings) -> Client:
    return connect(settings.redis_url.get_secret_value(), connections=4, timeout_seconds=CONNECT_SECONDS)
