"""Calling a group's handler until an event is finished: the one place where the tree of errors decides."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from structlog import get_logger

import metrics
from streams.crash_points import reached
from streams.delivery import Delivery, Handler
from streams.errors import FatalError, LeaseLost, NewerEvent, TransientError
from streams.outage import place_of
from streams.ownership import OnFatal, PartitionOwnership
from streams.reader import is_being_cancelled
from streams.retry import RetryPolicy
from telemetry import thread_hash

log = get_logger("prosa.consumer")

Pause = Callable[[float], Awaitable[bool]]
"""Waits so many seconds before the next try; false when there shall be none."""


class Handling:
    """Tries again in place, with growing pauses, and never skips; only the thread of the event waits."""

    def __init__(self, handler: Handler, ownership: PartitionOwnership, retry: RetryPolicy, on_fatal: OnFatal) -> None:
        self._handler = handler
        self._ownership = ownership
        self._retry = retry
        self._on_fatal = on_fatal

    async def finish(self, delivery: Delivery, pause: Pause) -> bool:
        """
        Whether the event is finished; if not, its thread must go no further here.

        A process that was paused beyond its lease must not act when it wakes up, so the lease is looked at before each try.
        """
        attempt = 0
        while self._ownership.remaining_seconds(delivery.partition) > 0:
            attempt += 1
            reached("group.delivered")
            if attempt > 1:
                metrics.RETRIES.of(delivery.group).inc()
            error = await self._try(delivery)
            if error is None:
                reached("group.handled")
                return True
            if isinstance(error, NewerEvent):
                self._ownership.decline(delivery.partition, error)
                return False
            if isinstance(error, LeaseLost) and self._ownership.is_leaving(delivery.partition):
                return False  # left to the next owner on purpose
            _tell(delivery, attempt, error)
            if isinstance(error, FatalError):
                self._on_fatal(error)
                return False
            if not await pause(self._retry.pause_seconds(attempt, random.random())):  # noqa: S311 - spreads tries
                return False
        return False

    async def _try(self, delivery: Delivery) -> BaseException | None:
        """A cancellation that was not meant for us, such as that of a task the handler awaited, is a failure like any other."""
        try:
            await self._handler(delivery)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is decided above by its branch
            return error
        return None


def _tell(delivery: Delivery, attempt: int, error: BaseException) -> None:
    """By class and place; a message may hold what must not be logged, but ours hold codes only."""
    log.warning(
        "handler.failed",
        group=delivery.group,
        event_id=delivery.event.id,
        correlation_id=delivery.event.correlation_id,
        thread_hash=thread_hash(delivery.event.subject),
        owner=delivery.event.owner,
        event_type=delivery.event.type,
        partition=delivery.partition,
        position=delivery.position,
        attempt=attempt,
        error=type(error).__name__,
        reason=str(error) if isinstance(error, TransientError) else None,
        at=place_of(error),
    )
