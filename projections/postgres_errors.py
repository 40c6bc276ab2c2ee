"""What Postgres answers, sorted by what to do about it: the one place that knows its error codes."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

import metrics
from settings.addresses import server_of
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


_REMEDIES = (
    (asyncpg.InvalidCatalogNameError, "create the database that it names, or name another"),
    (asyncpg.InvalidAuthorizationSpecificationError, "put the right user and password into it"),
    (asyncpg.InsufficientPrivilegeError, "let it name a role that may: GRANT prosa_app TO that role"),
    (asyncpg.exceptions.ClientConfigurationError, "look at what follows the ?"),
)

POSTGRES_PORT = 5432


@contextmanager
def sorted_errors(url: str) -> Iterator[None]:
    """
    Raises `ReadModelUnavailable` for what may pass, and `ConfigurationError` for what will not.

    Of the URL, host and port are told; neither user nor password.
    """
    try:
        yield
    except _OUTDATED as error:
        metrics.POSTGRES_ERRORS.of("outdated").inc()
        raise ReadModelUnavailable("the tables are missing, outdated, or closed to this user; run: prosa migrate") from error
    except _MISCONFIGURED as error:
        metrics.POSTGRES_ERRORS.of("misconfigured").inc()
        remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), "correct it")
        server = server_of(url, POSTGRES_PORT)
        raise ConfigurationError(f"DATABASE_URL: Postgres at {server} answers {type(error).__name__}; {remedy}") from None
    except _UNAVAILABLE as error:
        metrics.POSTGRES_ERRORS.of("unavailable").inc()
        raise ReadModelUnavailable(f"{type(error).__name__}: {server_of(url, POSTGRES_PORT)} (DATABASE_URL)") from error
