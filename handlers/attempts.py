"""
What happens when a handler fails: the one place that decides by branch of the error tree.

A failure is a fact in the log, counted by the fold, so that the count survives the worker. Past the limit the event is a dead
letter and its thread goes on. An event that ended its worker more than once while nothing else was in work is one too.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from hashlib import blake2b

import structlog

from handlers.breaker import Breaker
from handlers.journal import Journal
from projections.dead_letters import attempts_of
from projections.state import EventAttempts
from streams.delivery import Delivery
from streams.errors import FatalError, TransientError
from streams.events import AttemptFailed, AttemptStarted, EventDeadLettered
from streams.retry import RetryPolicy
from telemetry import log, thread_hash

DEATHS_ALONE = 2
"""Once may be chance; an event that was alone in work twice when its worker ended is the killer."""

Handle = Callable[[Delivery], Awaitable[None]]


class Attempts:
    """Runs a group's handler, and turns its failures into facts."""

    def __init__(self, journal: Journal, breaker: Breaker, retry: RetryPolicy, handle: Handle) -> None:
        self._journal = journal
        self._breaker = breaker
        self._retry = retry
        self._handle = handle

    async def run(self, delivery: Delivery) -> None:
        """Handle a delivery until it is done or given up. Raises only what is to be tried again or must stop the process."""
        event = delivery.event
        with structlog.contextvars.bound_contextvars(
            group=delivery.group,
            event_id=event.id,
            correlation_id=event.correlation_id,
            thread=thread_hash(event.subject),
            owner=event.owner,
        ):
            if delivery.isolated and await self._is_killer(delivery):
                await self._give_up(delivery, "WorkerEnded", DEATHS_ALONE)
                return
            while not await self._succeeds(delivery):
                pass

    async def _succeeds(self, delivery: Delivery) -> bool:
        """One try. A failed one is recorded; True once nothing is left to do."""
        try:
            await self._handle(delivery)
        except (TransientError, FatalError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler does wrong must not stop its neighbours
            return await self._failed(delivery, error)
        return True

    async def _failed(self, delivery: Delivery, error: Exception) -> bool:
        name = type(error).__name__
        log.error("attempt.failed", error=name, exc_info=error)
        if _concerns_partition(delivery):
            return True
        failed = AttemptFailed(event=delivery.event.id, group=delivery.group, error=name)
        counted = await self._count(delivery, failed)
        if counted.failed >= self._retry.max_attempts:
            self._breaker.failed(name)
            if not self._breaker.is_open:
                await self._give_up(delivery, name, counted.failed)
                return True
            await self._breaker.admit()
        await asyncio.sleep(self._retry.pause_seconds(counted.failed, random.random()))  # noqa: S311 - jitter
        return False

    async def _is_killer(self, delivery: Delivery) -> bool:
        """Log the start of an event that is handled alone; whoever finds that start without an end knows the killer."""
        if _concerns_partition(delivery):
            return False
        view = await self._journal.look(delivery.event.subject, delivery.caught_up_to)
        if view.state and attempts_of(view.state, delivery.event.id, delivery.group).started_alone >= DEATHS_ALONE:
            return True
        await self._count(delivery, AttemptStarted(event=delivery.event.id, group=delivery.group))
        return False

    async def _count(self, delivery: Delivery, data: AttemptFailed | AttemptStarted) -> EventAttempts:
        view = await self._journal.record(data, cause=delivery.event)
        if view.state is None:
            return EventAttempts(delivery.event.id, delivery.group)
        return attempts_of(view.state, delivery.event.id, delivery.group)

    async def _give_up(self, delivery: Delivery, error: str, attempts: int) -> None:
        fingerprint = blake2b(f"{delivery.group}:{delivery.event.type}:{error}".encode(), digest_size=8).hexdigest()
        letter = EventDeadLettered(
            event=delivery.event.id, group=delivery.group, attempts=attempts, error=error, fingerprint=fingerprint
        )
        log.error("event.dead_lettered", error=error, attempts=attempts)
        await self._journal.record(letter, cause=delivery.event)


def _concerns_partition(delivery: Delivery) -> bool:
    """A tick that fails is not tried again: the next one does its work."""
    return delivery.event.subject.startswith("partition/")
