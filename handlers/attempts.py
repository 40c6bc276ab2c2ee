"""
What happens when a handler fails: the one place that decides by branch of the error tree.

A failure is a fact in the log, counted by the fold, so that the count survives the worker. Past the limit the event is a dead
letter and its thread goes on, unless everything fails. An event that ended its worker again and again while nothing else was in
work is one too, whether it was delivered or a tick found it.
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import blake2b

from structlog.contextvars import bound_contextvars

import metrics
from handlers.alone import Alone, waiting
from handlers.breaker import Breaker
from handlers.decide import stuck_send
from handlers.journal import Journal
from projections.changes import SENDER
from projections.dead_letters import attempts_of
from projections.reader import View
from projections.state import EventAttempts
from streams import leaving
from streams.delivery import Delivery
from streams.errors import FatalError, LeaseLost, TransientError
from streams.events import AttemptFailed, Event, EventDeadLettered, RedriveRequested
from streams.outage import place_of
from streams.retry import RetryPolicy
from telemetry import log, thread_hash

DEATHS_ALONE = 3
"""
An event that was alone in work so often when its worker ended is the killer.

Workers end for other reasons too, in series where a neighbour on the machine uses up its memory. Where one ends every 8 s and an
event is in work for a second of them, one in 64 events is hit twice by chance, and one in 512 three times.
"""

STARTS_KEPT = 1_000
"""An event that another worker brought to an end meanwhile is remembered here until so many later ones are."""

Handle = Callable[[Delivery], Awaitable[None]]

Find = Callable[[Delivery], Awaitable[Sequence[Event]]]
"""The events that the handler would go about if it were given this tick, each for a thread of its own."""


async def find_nothing(_: Delivery) -> Sequence[Event]:
    """For a group whose ticks find nothing."""
    return ()


class Attempts:
    """Runs a group's handler, and turns its failures into facts."""

    def __init__(self, journal: Journal, breaker: Breaker, retry: RetryPolicy, handle: Handle, find: Find = find_nothing) -> None:
        self._journal = journal
        self._breaker = breaker
        self._retry = retry
        self._handle = handle
        self._find = find
        self._left_standing: OrderedDict[str, None] = OrderedDict()
        self.last_tick_ms = 0

    async def run(self, delivery: Delivery) -> None:
        """Handle a delivery until it is done or given up. Raises only what is to be tried again or must stop the process."""
        event = delivery.event
        with bound_contextvars(
            group=delivery.group,
            event_id=event.id,
            correlation_id=event.correlation_id,
            thread_hash=thread_hash(event.subject),
            partition=delivery.partition,
            owner=event.owner,
        ):
            if event.subject.startswith("partition/"):
                await self._try_tick(delivery)
            elif not delivery.isolated:
                await self._try_until_done(delivery)
            elif not await self._is_killer(delivery, alone := Alone(self._journal, delivery)):
                await self._try_alone(delivery, alone)

    async def _try_tick(self, delivery: Delivery) -> None:
        """Where an event is looked for that ends its worker, what the tick finds is handled one at a time, and told by name."""
        self.last_tick_ms = max(self.last_tick_ms, delivery.record.appended_at_ms)
        await self._try_once(self._each_alone if delivery.isolated else self._handle, delivery)

    async def _each_alone(self, tick: Delivery) -> None:
        """As if these events were delivered once more. Where one is given up its thread may have another."""
        tried = set[str]()
        while found := [event for event in await self._find(tick) if event.id not in tried]:
            for event in found:
                tried.add(event.id)
                await self._try_once(self.run, replace(tick, event=event))

    async def _try_once(self, handle: Handle, delivery: Delivery) -> None:
        """What fails for a tick is not tried again: the next one does its work."""
        try:
            await handle(delivery)
        except FatalError:
            raise
        except LeaseLost:
            log.info("tick.left")  # the next owner has ticks of its own
        except Exception as error:  # noqa: BLE001 - decided here by its branch
            log.error("tick.failed", error=type(error).__name__, at=place_of(error))

    async def _try_alone(self, delivery: Delivery, alone: Alone) -> None:
        """Where it is left unfinished and the log could not be told so in time, this process remembers that it did not end."""
        try:
            async with alone.in_work():
                await self._try_until_done(delivery)
        except BaseException:
            if alone.is_in_work:
                self._remember(delivery.event.id)
            raise

    def _remember(self, event: str) -> None:
        self._left_standing[event] = None
        if len(self._left_standing) > STARTS_KEPT:
            self._left_standing.popitem(last=False)

    async def _try_until_done(self, delivery: Delivery) -> None:
        tries, is_done = Counter[str](), False
        while not is_done:
            was_paused = self._breaker.is_open
            try:
                await self._handle(delivery)
                is_done = True
            except (TransientError, FatalError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler does wrong must not stop its neighbours
                is_done = await self._failed(delivery, error, tries, was_paused=was_paused or self._breaker.is_open)

    async def _failed(self, delivery: Delivery, error: Exception, tries: Counter[str], *, was_paused: bool) -> bool:
        """Count it for what failed; past the limit give that up, unless it failed while everything did. True if it is done."""
        name = type(error).__name__
        log.error("attempt.failed", error=name, at=place_of(error))
        event = _to_blame(delivery, await self._journal.look(delivery.event.subject))
        tries[event] += 1
        view = await self._journal.record(AttemptFailed(event=event, group=delivery.group, error=name), cause=delivery.event)
        counted = max(_counted(view, event, delivery.group).failed, tries[event])
        self._breaker.failed(name, event, delivery.event.subject)
        if counted >= self._retry.max_attempts:
            if was_paused or self._breaker.is_open:
                await self._breaker.admit()
            elif await self._give_up(delivery, event, view, name, counted):
                return True
        async with waiting():
            await leaving.pause(self._retry.pause_seconds(counted, random.random()))  # noqa: S311 - jitter
        metrics.RETRIES.of(delivery.group).inc()
        return False

    async def _is_killer(self, delivery: Delivery, alone: Alone) -> bool:
        """
        Whether so many starts of an event were not taken back, each by a worker that ended.

        The last start is taken back first where this process itself left one standing, and where the owner before handed the
        partition over: that one did not end. It may be the start of one before them, which did: then one death is forgiven.
        """
        event = delivery.event.id
        view = await self._journal.look(delivery.event.subject, delivery.caught_up_to)
        if event in self._left_standing or (delivery.is_handed_over and _counted(view, event, delivery.group).is_alone):
            view = await alone.take_back()
            self._left_standing.pop(event, None)
        if _counted(view, event, delivery.group).started_alone >= DEATHS_ALONE:
            return await self._give_up(delivery, _to_blame(delivery, view), view, "WorkerEnded", DEATHS_ALONE)
        return False

    async def _give_up(self, delivery: Delivery, event: str, view: View, error: str, attempts: int) -> bool:
        """Name it a dead letter, unless it is the delivered event and is one. True if that is what the delivery is about."""
        if event != delivery.event.id or not _is_dead(view, event, delivery.group):
            kind = f"{delivery.group}:{delivery.event.type}:{error}"
            fingerprint = blake2b(kind.encode(), digest_size=8).hexdigest()
            letter = EventDeadLettered(event=event, group=delivery.group, attempts=attempts, error=error, fingerprint=fingerprint)
            log.error("event.dead_lettered", error=error, attempts=attempts, dead_letter=event)
            self._breaker.forget(event)
            await self._journal.record(letter, cause=delivery.event)
        return event == _meant_by(delivery)


def _meant_by(delivery: Delivery) -> str:
    """The event that is handled: the delivered one, or the one that it sends round again."""
    data = delivery.event.data
    return data.event if isinstance(data, RedriveRequested) and delivery.group != SENDER else delivery.event.id


def _to_blame(delivery: Delivery, view: View) -> str:
    """What fails and holds the thread up: the event itself, what it sends round again, or the reply at the head."""
    if delivery.group == SENDER:
        return stuck_send(view.state, view.log_time_ms) or delivery.event.id
    return _meant_by(delivery)


def _counted(view: View, event: str, group: str) -> EventAttempts:
    return attempts_of(view.state, event, group) if view.state else EventAttempts(event, group)


def _is_dead(view: View, event: str, group: str) -> bool:
    return view.state is not None and any((letter.event, letter.group) == (event, group) for letter in view.state.dead_letters)
