"""
Whether a process lives, and whether it can do its work now: each problem is a sentence with its remedy.

A process lives while its loops turn. One that waits for a server that is away lives, since starting it again would not help; it
is not ready, since it cannot do its work.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from math import isnan

from handlers.groups import Groups
from handlers.ticker import Ticker
from projections.agreement import disagreements_with_log
from projections.database import Database
from projections.store import load_checkpoints
from streams.agreement import require_none
from streams.errors import ConfigurationError, FatalError, LogUnavailable, ReadModelUnavailable, TransientError
from streams.heartbeat import Heartbeat
from streams.log import EventLog

HUNG_SECONDS = 180.0
"""No turn of a loop takes longer: whatever it waits for has a shorter limit of its own, down to each statement's 30 s."""

SILENT_SECONDS = 15.0
"""A consumer that has not read for so long does not do its work: an idle one reads every second."""

ANSWER_SECONDS = 2.0
"""A server that takes longer to answer a question that costs nothing is as good as away."""


def hung(heartbeats: Iterable[Heartbeat], *, allowed_seconds: float = HUNG_SECONDS) -> list[str]:
    """The loops that do not turn any more."""
    silent = ((heartbeat.loop, heartbeat.silent_seconds) for heartbeat in heartbeats)
    return [
        f"the loop '{loop}' has not turned for {seconds:.0f} s; start the process again"
        for loop, seconds in silent
        if seconds > allowed_seconds
    ]


async def problems_of_groups(groups: Groups) -> list[str]:
    """What keeps this worker from its work: log, Postgres, a lost tail, leases, reading, a breaker, events of a newer version."""
    unanswered = await _unanswered(groups.log, groups.database)
    lost = [] if unanswered else await _lost(groups)
    return [*unanswered, *lost, *_not_serving(groups), *_paused(groups), *_declined(groups)]


async def require_agreement_at_start(groups: Groups) -> None:
    """
    Raise `CheckpointAhead` where the log lost its tail in any partition, before one is claimed: a repair needs them all free.

    Where log or Postgres do not answer now, the projector compares each partition that it takes.
    """
    try:
        require_none(await disagreements_with_log(groups.database, groups.log))
    except TransientError:
        return


async def problems_of_clock(event_log: EventLog, ticker: Ticker) -> list[str]:
    """What keeps this clock from its work: the log, a tick that is late, a policy that could not be compared yet."""
    return [*await _log_away(event_log), *_late(ticker), *_outdated(ticker)]


async def _unanswered(event_log: EventLog, database: Database) -> list[str]:
    log_away, postgres_away = await asyncio.gather(_log_away(event_log), _postgres_away(database))
    return [*log_away, *postgres_away]


async def _log_away(event_log: EventLog) -> list[str]:
    problem = await _problem_of(event_log.require_writable)
    return [f"the log cannot be used ({problem}); check REDIS_URL and the server behind it"] if problem else []


async def _postgres_away(database: Database) -> list[str]:
    async def ask() -> None:
        async with database.transaction(readonly=True) as connection:
            await load_checkpoints(connection, ())

    problem = await _problem_of(ask)
    return [f"Postgres does not answer ({problem}); check DATABASE_URL and the server behind it"] if problem else []


async def _problem_of(ask: Callable[[], Awaitable[object]]) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await ask()
    except TimeoutError:
        return f"nothing in {ANSWER_SECONDS:g} s"
    except (LogUnavailable, ReadModelUnavailable, ConfigurationError) as error:
        return str(error)
    return None


async def _lost(groups: Groups) -> list[str]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await require_agreement_at_start(groups)
    except TimeoutError:
        return [f"log and read model cannot be compared in {ANSWER_SECONDS:g} s; check whether the servers are overloaded"]
    except FatalError as error:
        return [str(error)]
    return []


def _not_serving(groups: Groups) -> list[str]:
    if groups.ownership.seconds_since_renewal > max(SILENT_SECONDS, groups.ownership.lease_seconds):
        return ["the leases are not renewed; check REDIS_URL, and whether this machine is overloaded"]
    consumers = groups.consumers if groups.ownership.owned else ()
    return [
        f"{consumer.group} does not read; check the log, Postgres and what this process tells of them"
        for consumer in consumers
        if consumer.seconds_since_read > SILENT_SECONDS
    ]


def _late(ticker: Ticker) -> list[str]:
    if not ticker.is_late:
        return []
    age = ticker.tick_age_seconds
    told = "no tick stands in the log yet" if isnan(age) else f"the last tick is {age:.0f} s old"
    return [f"{told}; check the log (REDIS_URL), and CLOCK_TICK_SECONDS"]


def _outdated(ticker: Ticker) -> list[str]:
    if ticker.is_up_to_date:
        return []
    return [
        "the policy of the settings is not compared with the log's yet; that needs Postgres: check "
        "DATABASE_URL, and whether its tables are there: prosa migrate"
    ]


def _paused(groups: Groups) -> list[str]:
    return [
        f"{breaker.group} is paused, since everything fails: {breaker.reason}" for breaker in groups.breakers if breaker.is_open
    ]


def _declined(groups: Groups) -> list[str]:
    return [
        f"partition {partition} holds events of a newer version; update this process" for partition in groups.ownership.declined
    ]
