"""
How we talk to Redis: bounded in time, nothing repeated behind our back, and every failure as one of our errors.

After a failover the address leads to another server, while the old one may live on as its replica and keep our connections. Once
it refuses as such, every connection of this process to that address is opened anew before its next command.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeAlias

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

LEADS_ELSEWHERE = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN", "LOADING", "NOREPLICAS"})
"""Answers of one that was a primary and is not, or may not be much longer: who asks for the address anew may find another."""

MOVE_SECONDS = 1.0
"""Connections are not opened anew more often than that, however often they are refused."""

_left_at: dict[str, float] = {}
"""By address: the moment of which older connections are not used any more."""


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
        pool.connection_class = _ours(pool.connection_class, _address_of(pool))
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


class _Movable(AbstractConnection):
    """
    A connection that is opened anew before its next command when its address was left since.

    A command in flight is not disturbed, and nothing is closed that nobody uses.
    """

    address: ClassVar[str]
    _opened_at = 0.0

    async def connect(self) -> None:
        if self.is_connected and self._opened_at < _left_at.get(self.address, 0.0):
            await self.disconnect(nowait=True)
        parent: Any = super()
        await parent.connect()

    async def _connect(self) -> None:
        self._opened_at = time.monotonic()
        parent: Any = super()
        await parent._connect()


def _ours(connection_class: type[AbstractConnection], address: str) -> type[AbstractConnection]:
    """TCP, TLS or a socket file, as the URL wants it."""
    return type(connection_class.__name__, (_Cancellable, _Movable, connection_class), {"address": address})


@contextmanager
def unavailable_on_failure(client: Client) -> Iterator[None]:
    """
    Turn what the client raises into `LogUnavailable`: a code, then the server and the setting that names it.

    The driver's own message is not told on, for it may hold what a script or a command was given.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        code, address = code_of(error), _address_of(client.connection_pool)
        metrics.LOG_ERRORS.of(code).inc()
        if code in LEADS_ELSEWHERE:
            _leave(address)
        raise LogUnavailable(f"{code}: {address} (REDIS_URL)") from error


def _leave(address: str) -> None:
    now = time.monotonic()
    if now - _left_at.get(address, 0.0) >= MOVE_SECONDS:
        _left_at[address] = now


def _address_of(pool: Any) -> str:
    options: dict[str, Any] = pool.connection_kwargs
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
