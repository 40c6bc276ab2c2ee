"""What Postgres answers, sorted by what to do about it: the one place that knows its error codes."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from streams.errors import ConfigurationError, ReadModelUnavailable

UNWRITABLE = (
    asyncpg.DataError,
    asyncpg.CheckViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What Postgres can never store, such as a NUL in a text or a number out of range: poison, not an outage."""

_MISCONFIGURED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.exceptions.ClientConfigurationError,
)

_OUTDATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectInUseError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""
What may pass: the server is away, restarts, is full, is read-only after a failover, or ended this transaction as a deadlock's
victim or for its silence; and what poolers answer that have no connection (XX000) or lent a statement to another client.

What the driver calls an `InterfaceError` is not here: it says so of a connection that is gone, and of our own mistakes too. Who
has the connection in hand can tell.
"""


@contextmanager
def sorted_errors() -> Iterator[None]:
    """Raises `ReadModelUnavailable` for what may pass, and `ConfigurationError`, which never shows the URL, for what will not."""
    try:
        yield
    except _OUTDATED as error:
        raise ReadModelUnavailable("the tables are missing, outdated, or closed to this user; run: prosa migrate") from error
    except _MISCONFIGURED as error:
        raise ConfigurationError(f"DATABASE_URL: Postgres answers {type(error).__name__}") from None
    except _UNAVAILABLE as error:
        raise ReadModelUnavailable(type(error).__name__) from error
