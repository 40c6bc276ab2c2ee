"""
The clock: appends `clock.ticked` to every partition, so that silence becomes visible.

At its start, and only then, it also appends the policy of its settings where the last one in the log differs, and completes an
advance of the development clock that a crash left out in some partitions. Several clocks may run: a repeated tick
changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from math import nan

from handlers.journal import Patience
from projections.conversation import advance
from projections.database import Database
from projections.policy import policy_of
from projections.state import PartitionState
from projections.store import Checkpoint, load_checkpoints
from settings import Settings
from streams.crash_points import reached
from streams.envelope import decode, name_of, new_event
from streams.errors import UndecodableEvent
from streams.events import AnyEventData, ClockAdvanced, ClockTicked, Event, PolicyChanged
from streams.heartbeat import Heartbeat
from streams.log import EventLog, Record
from streams.partitions import START, partition_subject
from telemetry import log, ranges
from tracing import traced, traceparent

SOURCE = "prosa/clock"
READ_AT_ONCE = 1000
LATE_SECONDS = 10


class Ticker:
    """Ticks until it is cancelled; while the log is away it waits, and does not make up for what it missed."""

    def __init__(self, event_log: EventLog, database: Database, settings: Settings) -> None:
        self._log = event_log
        self._database = database
        self._settings = settings
        self._patience = Patience()
        self._ticked_at: float | None = None
        self._is_up_to_date = False
        self.heartbeat = Heartbeat("ticks")

    @property
    def tick_age_seconds(self) -> float:
        """Since a tick last stood in every partition; not a number before the first."""
        return nan if self._ticked_at is None else _now() - self._ticked_at

    @property
    def is_up_to_date(self) -> bool:
        """Whether the policy in the log is that of the settings."""
        return self._is_up_to_date

    @property
    def is_late(self) -> bool:
        """Whether two ticks are overdue, or there was none yet."""
        return self._ticked_at is None or _now() - self._ticked_at > 2 * self._settings.clock_tick_seconds + LATE_SECONDS

    async def run(self) -> None:
        """Tick now and then for ever, and meanwhile bring the policy up to date. Raises what must stop the process."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._bring_up_to_date())
                tasks.create_task(self._tick_for_ever())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _tick_for_ever(self) -> None:
        seconds = self._settings.clock_tick_seconds
        while True:
            started = _now()
            nominal = datetime.fromtimestamp(await self._patience.until_done(self._time_ms) // 1000, UTC)
            await self._append_everywhere(ClockTicked(nominal=nominal))
            self._ticked_at = _now()
            await asyncio.sleep(max(0.0, seconds - (_now() - started)))

    async def _bring_up_to_date(self) -> None:
        states = await self._states_at_head()
        wanted = policy_of_settings(self._settings)
        offset_ms = max(state.offset_ms for state in states.values())
        differing = [partition for partition, state in states.items() if state.policy != policy_of(wanted)]
        for partition, state in states.items():
            if partition in differing:
                await self._append(partition, wanted)
            if state.offset_ms < offset_ms:
                await self._append(partition, ClockAdvanced(offset_ms=offset_ms))
        if differing:
            log.info("policy.changed", partitions=ranges(differing))
        self._is_up_to_date = True

    async def _states_at_head(self) -> Mapping[int, PartitionState]:
        """Every partition's clock and policy at the log's end: from the checkpoint, and what the log holds after it."""
        checkpoints = await self._patience.until_done(self._checkpoints)
        states = {}
        for partition in range(self._log.partitions):
            checkpoint = checkpoints.get(partition)
            state, position = (checkpoint.state, checkpoint.position) if checkpoint else (PartitionState(), START)
            async for record in self._records_after(partition, position):
                state = advance(state, _understood(record), record.appended_at_ms)
            states[partition] = state
        return states

    async def _checkpoints(self) -> dict[int, Checkpoint]:
        async with self._database.transaction(readonly=True) as connection:
            return await load_checkpoints(connection, range(self._log.partitions))

    async def _records_after(self, partition: int, position: int) -> AsyncIterator[Record]:
        async def read() -> Sequence[Record]:
            return await self._log.read({partition: position}, limit=READ_AT_ONCE)

        while records := await self._patience.until_done(read):
            for record in records:
                yield record
                position = record.position

    @traced("tick")
    async def _append_everywhere(self, data: AnyEventData) -> None:
        """One partition after the other, so that one of them waits for a log that is away, and not all."""
        for partition in range(self._log.partitions):
            await self._append(partition, data)

    async def _append(self, partition: int, data: AnyEventData) -> None:
        event = new_event(data, subject=partition_subject(partition), source=SOURCE, traceparent=traceparent())

        async def append() -> None:
            self.heartbeat.beat()
            reached("clock.ticking")
            await self._log.append(event)
            reached("clock.ticked")

        await self._patience.until_done(append)

    async def _time_ms(self) -> int:
        self.heartbeat.beat()
        return await self._log.time_ms()


def policy_of_settings(settings: Settings) -> PolicyChanged:
    """The policy that the settings ask for."""
    return PolicyChanged(
        idle_after_minutes=settings.conversation_idle_timeout_minutes,
        expire_after_minutes=settings.conversation_expiration_minutes,
        expire_pending_after_minutes=settings.conversation_pending_expiration_minutes,
        handoff_expires_after_minutes=settings.conversation_handoff_timeout_minutes,
        after_handoff=settings.conversation_after_handoff,
        close_words=settings.conversation_close_words,
    )


def _understood(record: Record) -> Event | None:
    """The event, if it is one that a partition's clock and policy follow from."""
    name = name_of(record.value)
    if name is not None and name not in _MOVING:
        return None
    try:
        return decode(record.value)
    except UndecodableEvent:
        return None


_MOVING = frozenset({ClockAdvanced.name, PolicyChanged.name})


def _now() -> float:
    return asyncio.get_running_loop().time()
