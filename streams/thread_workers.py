"""
The work of one group in one partition: one thread serially, many at once.

The low-water mark never passes an unfinished event. What was cancelled or abandoned is unfinished, and so is what waits: beyond
its own bound a thread keeps only positions, which are read again when it gets there.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from structlog import get_logger

from streams.delivery import Delivery
from streams.leaving import OF_THIS_WORK, Leaving
from streams.log import Mark, Record
from streams.ownership import OnFatal, supervise
from streams.partitions import START

log = get_logger("prosa.workers")

ISOLATED = ""
"""What runs alone goes through one queue, as if it were one thread; a subject is never empty."""

Work = Callable[[Delivery], Awaitable[bool]]
"""Whether the event is finished. If not, its thread goes no further."""

ReadAgain = Callable[[int, int], Awaitable[Sequence[Record]]]
"""The entries from a position on, itself included, and how many at most."""

CANCEL_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How much may be unfinished in one partition of one group.

    `in_flight` deliveries are in memory, `per_thread` of them in one thread; `kept` counts positions that are read again.
    """

    in_flight: int = 256
    per_thread: int = 32
    kept: int = 10_000


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """An entry in work, by the mark before it."""

    before: Mark
    appended_at_ms: int


@dataclass(slots=True)
class _Thread:
    waiting: deque[Delivery] = field(default_factory=deque)
    kept: deque[int] = field(default_factory=deque)
    is_running: bool = False


class ThreadWorkers:
    """`room_made` is called when a partition that was full can take more."""

    def __init__(
        self,
        mark: Mark,
        *,
        work: Work,
        read_again: ReadAgain,
        deliver: Callable[[Record], Delivery],
        on_fatal: OnFatal,
        room_made: Callable[[], None],
        bounds: Bounds,
        isolated_to: int = START,
    ) -> None:
        self.committed = mark
        self._cursor = mark
        self._work = work
        self._read_again = read_again
        self._deliver = deliver
        self._on_fatal = on_fatal
        self._room_made = room_made
        self._bounds = bounds
        self._isolated_to = isolated_to
        self._unfinished: OrderedDict[int, _Unfinished] = OrderedDict()
        self._threads: dict[str, _Thread] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._kept = 0
        self._is_full = False
        self._leaving = Leaving()

    @property
    def cursor(self) -> int:
        """The position of the last entry that was taken or passed over."""
        return self._cursor.position

    @property
    def mark(self) -> Mark:
        """The low-water mark: the entry before the oldest unfinished one, or the last one read."""
        oldest = next(iter(self._unfinished.values()), None)
        return oldest.before if oldest else self._cursor

    @property
    def oldest_unfinished_ms(self) -> int | None:
        """The append time of the oldest entry that was taken and is not finished."""
        oldest = next(iter(self._unfinished.values()), None)
        return oldest.appended_at_ms if oldest else None

    @property
    def in_flight(self) -> int:
        """How many deliveries are in memory."""
        return self._in_flight

    @property
    def has_room(self) -> bool:
        """Whether reading on makes sense."""
        return not (self._leaving.is_told or self._is_full or self._waits_for_isolated(self.cursor + 1))

    def is_isolated(self, position: int) -> bool:
        return position <= self._isolated_to

    def takes(self, position: int) -> bool:
        """Whether this entry, the next one, may be taken or passed over now."""
        if self._waits_for_isolated(position):
            self._isolated_to = self.cursor
        return self.has_room

    def pass_over(self, position: int) -> None:
        """The group has no use for the next entry."""
        self._cursor = self._cursor.passing(position)

    def take(self, delivery: Delivery) -> None:
        """The next entry is to be handled."""
        if not delivery.isolated:
            self._isolated_to = START
        self._unfinished[delivery.position] = _Unfinished(self._cursor, delivery.record.appended_at_ms)
        self._cursor = self._cursor.passing(delivery.position)
        name = ISOLATED if delivery.isolated else delivery.event.subject
        thread = self._threads.setdefault(name, _Thread())
        if thread.kept or len(thread.waiting) >= self._bounds.per_thread:
            thread.kept.append(delivery.position)
            self._kept += 1
        else:
            self._enqueue(name, thread, delivery)
        self._is_full = self._in_flight >= self._bounds.in_flight or self._kept >= self._bounds.kept

    async def pause(self, seconds: float) -> bool:
        """Wait before the next try; false when there shall be none, because the partition is given back."""
        return not await self._leaving.wait(seconds)

    def halt(self) -> None:
        """Begin nothing more."""
        self._leaving.tell()

    async def drain(self, limit_seconds: float) -> None:
        """Begin nothing more, let what runs finish within the limit, cancel the rest."""
        self._leaving.tell()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_seconds)
        await self.abandon()

    async def abandon(self) -> None:
        """Cancel everything; returns when nothing runs."""
        self._leaving.tell()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=CANCEL_AGAIN_SECONDS)

    def _waits_for_isolated(self, position: int) -> bool:
        return START < self._isolated_to < position and bool(self._unfinished)

    def _enqueue(self, name: str, thread: _Thread, delivery: Delivery) -> None:
        self._in_flight += 1
        thread.waiting.append(delivery)
        if not thread.is_running:
            thread.is_running = True
            task = supervise(asyncio.create_task(self._run(name, thread), name="thread worker"), self._on_fatal)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, name: str, thread: _Thread) -> None:
        """A thread that stops at an unfinished event is never begun again here: it goes on holding the mark."""
        OF_THIS_WORK.set(self._leaving)
        while thread.waiting:
            if self._leaving.is_told or not await self._work(thread.waiting[0]):
                return
            self._finish(thread.waiting.popleft())
            while thread.kept and not thread.waiting:
                await self._refill(thread)
        del self._threads[name]

    def _finish(self, delivery: Delivery) -> None:
        del self._unfinished[delivery.position]
        self._in_flight -= 1
        self._tell_room()

    def _tell_room(self) -> None:
        """Half of the window is emptied before reading goes on, for its sake a blocking read is ended."""
        if self._is_full and self._in_flight <= self._bounds.in_flight // 2 and self._kept < self._bounds.kept:
            self._is_full = False
            self._room_made()
        elif self._isolated_to and self.cursor >= self._isolated_to and not self._unfinished:
            self._isolated_to = START
            self._room_made()

    async def _refill(self, thread: _Thread) -> None:
        """Read again what the thread kept only positions of; an entry that is gone from the log is done with."""
        limit = self._bounds.per_thread * 4
        records = await self._read_again(thread.kept[0], limit)
        found = {record.position: record for record in records}
        is_complete = len(records) < limit
        room = max(1, min(self._bounds.per_thread, self._bounds.in_flight - self._in_flight))
        while thread.kept and len(thread.waiting) < room and (is_complete or thread.kept[0] <= records[-1].position):
            position = thread.kept.popleft()
            self._kept -= 1
            if record := found.get(position):
                self._in_flight += 1
                thread.waiting.append(self._deliver(record))
            else:
                log.error("entry.lost", position=position)
                del self._unfinished[position]
        self._tell_room()
