"""A consumer group in this process: reads the partitions owned, works through them, and commits what is finished."""

import asyncio
from collections.abc import Mapping

from structlog import get_logger

from streams.agreement import require_agreement
from streams.batch_consumer import BatchConsumer
from streams.cancellation import end
from streams.crash_points import reached
from streams.delivery import Delivery, Handler
from streams.envelope import decode, name_of
from streams.errors import LogUnavailable, NewerEvent, TransientError, UndecodableEvent
from streams.handling import Handling
from streams.heartbeat import Heartbeat
from streams.lag import ages_in_seconds
from streams.log import Consumed, EventLog, Mark, Record
from streams.marks import Marks
from streams.outage import Outage, until_available
from streams.ownership import OnFatal, PartitionOwnership, Takeover, exit_at_once, supervise
from streams.partitions import START
from streams.reader import Reader
from streams.retry import RetryPolicy
from streams.thread_workers import Bounds, ThreadWorkers

__all__ = ["BatchConsumer", "Delivery", "GroupConsumer", "Handler"]

READ_LIMIT = 1024
"""Entries of one read, shared out among its partitions."""

log = get_logger("prosa.consumer")


class GroupConsumer:
    """
    Delivers the events of `names` to one handler; all others are passed over in bulk.

    An event whose handler raises is tried again in place, with growing pauses, and never skipped: whoever wants to give it up
    returns normally. Fatal errors are told to `on_fatal`, a `NewerEvent` makes the process decline the partition.
    """

    is_upstream = False

    def __init__(
        self,
        event_log: EventLog,
        ownership: PartitionOwnership,
        *,
        group: str,
        names: frozenset[str],
        max_in_flight: int = 256,
        max_per_thread: int = 32,
        retry: RetryPolicy | None = None,
        drain_seconds: float = 10.0,
        on_fatal: OnFatal = exit_at_once,
    ) -> None:
        self.group = group
        self.names = names
        self._log = event_log
        self._ownership = ownership
        self._bounds = Bounds(in_flight=max_in_flight, per_thread=max_per_thread)
        self._retry = retry or RetryPolicy()
        self._drain_seconds = drain_seconds
        self._on_fatal = on_fatal
        self._reader = Reader(event_log)
        self._joining: dict[int, Takeover] = {}
        self._serving: dict[int, ThreadWorkers] = {}
        self._caught_up_to: dict[int, int] = {}
        self._is_handed_over: dict[int, bool] = {}
        self._marks = Marks(event_log, group, self._serving, self._owns)
        self.heartbeats = (Heartbeat(f"{group} reads"), self._marks.heartbeat)
        self._handling: Handling | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def seconds_since_read(self) -> float:
        """The age of the last successful read: the group's sign of life."""
        return self._reader.seconds_since_read

    @property
    def in_flight(self) -> int:
        """How many deliveries are in memory."""
        return sum(workers.in_flight for workers in self._serving.values())

    @property
    def lag(self) -> Mapping[int, int | None]:
        """How many entries of each partition served are not finished, as the log saw it some seconds ago."""
        return {partition: self._marks.lag.get(partition) for partition in self._serving}

    @property
    def lag_seconds(self) -> Mapping[int, float]:
        """For each partition served, the age of its oldest entry that is not finished, or not even read."""
        return ages_in_seconds(
            {
                partition: workers.oldest_unfinished_ms or self._reader.unread_since_ms(partition)
                for partition, workers in self._serving.items()
            }
        )

    async def start(self, handle: Handler) -> None:
        """Begin to serve what the ownership gives us. It may be started once."""
        self._handling = Handling(handle, self._ownership, self._retry, self._on_fatal)
        for loop in (self._read_on, self._marks.commit_regularly, self._marks.compare_regularly):
            self._tasks.append(supervise(asyncio.create_task(loop(), name=f"{self.group}: {loop.__name__}"), self._on_fatal))
        self._ownership.attach(self)

    def hurry(self, drain_seconds: float) -> None:
        """Give what runs no longer than this from now on, where going on is of no use."""
        self._drain_seconds = min(self._drain_seconds, drain_seconds)

    async def stop(self) -> None:
        """Drain every partition still served, and end. To give the leases back as well, stop the ownership first."""
        await asyncio.gather(*(self.drain(partition) for partition in {*self._serving, *self._joining}))
        await end(self._tasks)

    # ------------------------------------------------------------------------------------------- told by the ownership

    def gained(self, takeover: Takeover) -> None:
        if not (self._joining or self._serving):
            self._reader.begin()
        self._joining[takeover.partition] = takeover
        self._reader.interrupt()

    def halt(self, partition: int) -> None:
        self._joining.pop(partition, None)
        if workers := self._serving.get(partition):
            workers.halt()

    async def drain(self, partition: int) -> None:
        self.halt(partition)
        workers = self._serving.get(partition)
        if workers:
            await workers.drain(self._drain_seconds)
            await self._commit("at a graceful stop")
            if self._serving.get(partition) is workers:
                del self._serving[partition]

    async def abandon(self, partition: int) -> None:
        self._joining.pop(partition, None)
        workers = self._serving.pop(partition, None)
        if workers:
            await workers.abandon()

    # --------------------------------------------------------------------------------------------------------- reading

    async def _read_on(self) -> None:
        outage = Outage("cannot read the log", group=self.group)
        while True:
            self.heartbeats[0].beat()
            try:
                while self._joining:
                    await self._join()
                if await self._read_once():
                    outage.over()
            except TransientError as error:
                await self._reader.pause(outage.failed(error))

    async def _join(self) -> None:
        """Begin at the committed mark. The head is read while we own the partition: what was in work before lies below it."""
        takeovers = dict(self._joining)
        marks, heads = await self._log.committed(self.group), await self._log.heads()
        await require_agreement(self._log, {partition: Consumed(marks[partition].position) for partition in takeovers})
        for partition, takeover in takeovers.items():
            found, head = marks[partition], heads[partition]
            isolated_to = await self._ownership.isolated_to(self.group, takeover, mark=found.position, head=head)
            if self._joining.get(partition) is not takeover:
                continue  # lost again meanwhile
            del self._joining[partition]
            if isolated_to != START:
                reason = "workers ended there"
                log.warning("partition.isolated", reason=reason, group=self.group, partition=partition, to=isolated_to)
            self._caught_up_to[partition] = head
            self._is_handed_over[partition] = takeover.is_graceful
            self._marks.lag[partition] = found.lag
            reached("group.joined")
            self._serving[partition] = self._workers(partition, Mark(found.position, found.entries), isolated_to)

    def _workers(self, partition: int, mark: Mark, isolated_to: int) -> ThreadWorkers:
        async def read_again(position: int, limit: int) -> list[Record]:
            return await self._read_again(partition, position, limit)

        async def work(delivery: Delivery) -> bool:
            return await self._work(workers, delivery)

        def deliver(record: Record) -> Delivery:
            return self._delivery(record, isolated=workers.is_isolated(record.position))

        workers = ThreadWorkers(
            mark,
            work=work,
            read_again=read_again,
            deliver=deliver,
            on_fatal=self._on_fatal,
            room_made=self._reader.interrupt,
            bounds=self._bounds,
            isolated_to=isolated_to,
        )
        return workers

    async def _read_once(self) -> bool:
        """Whether the log was asked at all: without partitions nobody knows how it is."""
        reading = {
            partition: workers for partition, workers in self._serving.items() if workers.has_room and self._owns(partition)
        }
        after = {partition: workers.cursor for partition, workers in reading.items()}
        records = await self._reader.read(after, max(1, READ_LIMIT // max(1, len(after))))
        stopped: set[int] = set()
        for record in records:
            workers = reading[record.partition]
            if record.partition not in stopped and not self._dispatch(record, workers):
                stopped.add(record.partition)
        return bool(after)

    def _dispatch(self, record: Record, workers: ThreadWorkers) -> bool:
        """Take one entry; false where the partition goes no further for now, and reads this entry again."""
        if self._serving.get(record.partition) is not workers or not self._owns(record.partition):
            return False
        if not workers.takes(record.position):
            return False
        try:
            delivery = self._wanted(record, workers)
        except NewerEvent as error:
            self._ownership.decline(record.partition, error)
            return False
        if delivery is None:
            workers.pass_over(record.position)
        else:
            workers.take(delivery)
        return True

    def _wanted(self, record: Record, workers: ThreadWorkers) -> Delivery | None:
        """What cannot be decoded is passed over here: the projector records it."""
        name = name_of(record.value)
        if name is not None and name not in self.names:
            return None
        try:
            delivery = self._delivery(record, isolated=workers.is_isolated(record.position))
        except UndecodableEvent:
            return None
        return delivery if delivery.event.data.name in self.names else None

    def _delivery(self, record: Record, *, isolated: bool) -> Delivery:
        caught_up_to = max(record.position, self._caught_up_to[record.partition])
        is_handed_over = self._is_handed_over[record.partition]
        return Delivery(self.group, record, decode(record.value), caught_up_to, isolated, is_handed_over)

    async def _read_again(self, partition: int, position: int, limit: int) -> list[Record]:
        async def read() -> list[Record]:
            return list(await self._log.read({partition: position - 1}, limit=limit))

        return await until_available(read, "cannot read the log again", group=self.group)

    async def _work(self, workers: ThreadWorkers, delivery: Delivery) -> bool:
        if delivery.isolated:
            await self._commit("before an event that runs alone")
        return self._handling is not None and await self._handling.finish(delivery, workers.pause)

    async def _commit(self, when: str) -> None:
        """What is not committed now is delivered again, at worst."""
        try:
            await self._marks.commit()
        except LogUnavailable as error:
            log.warning("commit.failed", group=self.group, when=when, reason=str(error))

    def _owns(self, partition: int) -> bool:
        return self._ownership.remaining_seconds(partition) > 0
