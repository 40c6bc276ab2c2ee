"""Reading all partitions owned in batches, from positions that are kept elsewhere: the projector's way."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from structlog import get_logger

from streams.cancellation import end
from streams.errors import FatalError, TransientError
from streams.heartbeat import Heartbeat
from streams.lag import ages_in_seconds
from streams.log import EventLog, Record
from streams.outage import Outage, place_of
from streams.ownership import OnFatal, PartitionOwnership, Takeover, exit_at_once, supervise
from streams.reader import Reader

log = get_logger("prosa.consumer")

Positions = Callable[[Sequence[int]], Awaitable[Mapping[int, int]]]
HandleBatch = Callable[[Sequence[Record]], Awaitable[object]]


class BatchConsumer:
    """
    Hands over what lies after `positions`, in order within each partition, at most `batch_size` entries at once.

    When the handler fails, the positions are asked for again and reading goes on from there: nothing is skipped. A partition that
    this process may not read is the handler's to decline.
    """

    is_upstream = True

    def __init__(
        self,
        event_log: EventLog,
        ownership: PartitionOwnership,
        *,
        group: str,
        positions: Positions,
        batch_size: int = 1000,
        drain_seconds: float = 10.0,
        on_fatal: OnFatal = exit_at_once,
    ) -> None:
        self.group = group
        self._ownership = ownership
        self._positions = positions
        self._batch_size = batch_size
        self._drain_seconds = drain_seconds
        self._on_fatal = on_fatal
        self._reader = Reader(event_log)
        self._serving: dict[int, Takeover] = {}
        self._cursors: dict[int, int] = {}
        self._unfinished_since: dict[int, int | None] = {}
        self._is_handling = asyncio.Lock()
        self.heartbeats = (Heartbeat(f"{group} reads"),)
        self._tasks: list[asyncio.Task[None]] = []
        self._handle: HandleBatch | None = None

    @property
    def seconds_since_read(self) -> float:
        """The age of the last successful read: the consumer's sign of life."""
        return self._reader.seconds_since_read

    @property
    def cursors(self) -> Mapping[int, int]:
        """Up to where each partition is handled, as far as that is known."""
        return self._cursors

    @property
    def lag_seconds(self) -> Mapping[int, float]:
        """For each partition that was read, the age of its oldest entry that is not handled, or not even read."""
        return ages_in_seconds(
            {partition: since or self._reader.unread_since_ms(partition) for partition, since in self._unfinished_since.items()}
        )

    async def start(self, handle: HandleBatch) -> None:
        """Begin to serve what the ownership gives us. It may be started once."""
        self._handle = handle
        self._tasks.append(supervise(asyncio.create_task(self._read_on(), name=f"{self.group}: read on"), self._on_fatal))
        self._ownership.attach(self)

    async def stop(self) -> None:
        """Finish the batch in hand, and end."""
        await asyncio.gather(*(self.drain(partition) for partition in list(self._serving)))
        await end(self._tasks)

    def gained(self, takeover: Takeover) -> None:
        if not self._serving:
            self._reader.begin()
        self._serving[takeover.partition] = takeover
        self._cursors.pop(takeover.partition, None)
        self._reader.interrupt()

    def halt(self, partition: int) -> None:
        self._serving.pop(partition, None)
        self._unfinished_since.pop(partition, None)
        self._cursors.pop(partition, None)

    async def drain(self, partition: int) -> None:
        """Let the batch in hand finish within the limit. A writer that comes later moves no checkpoint that has moved."""
        self.halt(partition)
        try:
            async with asyncio.timeout(self._drain_seconds), self._is_handling:
                return
        except TimeoutError:
            log.warning("batch.outlasted_drain", group=self.group, partition=partition)

    async def abandon(self, partition: int) -> None:
        """A batch in hand goes on: its writer moves a checkpoint from the value last seen, or fails."""
        self.halt(partition)

    async def _read_on(self) -> None:
        outage = Outage("cannot go on", group=self.group)
        while True:
            self.heartbeats[0].beat()
            try:
                if await self._read_once():
                    outage.over()
            except FatalError as error:
                self._on_fatal(error)
                return
            except TransientError as error:
                await self._begin_again(outage.failed(error))
            except Exception as error:  # noqa: BLE001 - whatever it was, nothing may be skipped: it all comes again
                log.error("batch.failed", group=self.group, error=type(error).__name__, at=place_of(error))
                await self._begin_again(outage.failed(error))

    async def _begin_again(self, pause_seconds: float) -> None:
        self._cursors = {}
        await self._reader.pause(pause_seconds)

    async def _read_once(self) -> bool:
        """Whether the log was asked at all: without partitions nobody knows how it is."""
        while missing := {p: takeover for p, takeover in self._serving.items() if p not in self._cursors}:
            await self._find_cursors(missing)
        reading = {partition: cursor for partition, cursor in self._cursors.items() if self._owns(partition)}
        serving = {partition: self._serving[partition] for partition in reading}
        records = await self._reader.read(reading, max(1, self._batch_size // max(1, len(reading))))
        self._note_unfinished(reading, records)
        async with self._is_handling:
            batch = [record for record in records if self._may_read(record.partition, serving, reading)]
            if batch:
                await self._hand_over(batch[: self._batch_size], serving)
        return bool(reading)

    async def _find_cursors(self, missing: Mapping[int, Takeover]) -> None:
        """Where to begin in partitions newly gained, or after a failure."""
        positions = await self._positions(sorted(missing))
        for partition, takeover in missing.items():
            if self._serving.get(partition) is takeover:
                self._cursors[partition] = positions[partition]

    def _note_unfinished(self, reading: Mapping[int, int], records: Sequence[Record]) -> None:
        """What was read is unfinished until it is handled; where nothing was, everything is finished."""
        oldest: dict[int, int | None] = dict.fromkeys(self._serving.keys() & reading.keys())
        oldest |= {record.partition: record.appended_at_ms for record in reversed(records) if record.partition in oldest}
        self._unfinished_since |= oldest

    def _may_read(self, partition: int, serving: Mapping[int, Takeover], reading: Mapping[int, int]) -> bool:
        """Still ours without a break, with the cursor that was read from, and surely not another's."""
        return (
            self._serving.get(partition) is serving[partition]
            and self._cursors.get(partition) == reading[partition]
            and self._owns(partition)
        )

    def _owns(self, partition: int) -> bool:
        return self._ownership.remaining_seconds(partition) > 0

    async def _hand_over(self, batch: Sequence[Record], serving: Mapping[int, Takeover]) -> None:
        assert self._handle is not None  # noqa: S101 - nothing is read before start
        await self._handle(batch)
        for record in batch:
            partition = record.partition
            if partition in self._cursors and self._serving.get(partition) is serving[partition]:
                self._cursors[partition] = record.position
                self._unfinished_since[partition] = None
