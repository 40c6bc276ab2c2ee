"""How we talk to Redis: bounded in time, nothing repeated behind our back, and every failure as one of our errors."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

import metrics
from streams.errors import ConfigurationError, LogUnavailable

Client: TypeAlias = Any
"""A `redis.asyncio.Redis`; its own annotations mix in those of the synchronous client, and `execute_command` has none."""


def connect(url: str, *, connections: int, timeout_seconds: float) -> Client:
    """
    A client that connects at its first command, and never repeats one.

    redis-py would retry three times, which could append an event twice and triple every limit in time. Raises
    `ConfigurationError` for an option in the URL that redis-py does not know.
    """
    try:
        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        pool.connection_class = _cancellable(pool.connection_class)
        pool.make_connection()  # opens nothing; it would be too late to fail with the first command
    except (ValueError, TypeError, RedisError):
        raise ConfigurationError("REDIS_URL has an option that redis-py does not take; look at what follows the ?") from None
    return Redis.from_pool(pool)


class _Cancellable(AbstractConnection):
    """
    A connection on which no cancellation is lost, and whose end is always told as one.

    redis-py sends inside `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that meets its own end: a loop
    that was cancelled would go on for ever. And uvloop raises `RuntimeError` where somebody writes to a connection that was
    reset, which redis-py takes for a defect.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        limit, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("writing") from None
        except RuntimeError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError("writing to a connection that is closed") from error
        finally:
            self.socket_timeout = limit


def _cancellable(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """TCP, TLS or a socket file, as the URL wants it."""
    return type(connection_class.__name__, (_Cancellable, connection_class), {})


@contextmanager
def unavailable_on_failure(client: Client) -> Iterator[None]:
    """
    Turn what the client raises into `LogUnavailable`: a code, then the server and the setting that names it.

    The driver's own message is not told on, for it may hold what a script or a command was given.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        metrics.LOG_ERRORS.of(code_of(error)).inc()
        raise LogUnavailable(f"{code_of(error)}: {_server_of(client)} (REDIS_URL)") from error


def _server_of(client: Client) -> str:
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return str(options["path"]) if "path" in options else f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def code_of(error: BaseException) -> str:
    """What went wrong in one word: the server's error code, else the name of the exception."""
    code: Any = getattr(error, "status_code", None)
    if code and code != "ERR":
        return str(code)
    first = str(error).partition(" ")[0]
    if isinstance(error, RedisError) and first.isupper() and first.isalpha() and len(first) > 2:
        return first
    return "no connection" if isinstance(error, RedisConnectionError | ConnectionError) else type(error).__name__
