"""Committing a group's low-water marks, and comparing them with what the log holds."""

import asyncio
from collections.abc import Callable, Mapping

from structlog import get_logger

from streams.agreement import require_agreement
from streams.crash_points import reached
from streams.errors import LogUnavailable
from streams.heartbeat import Heartbeat
from streams.log import Committed, Consumed, EventLog, Mark
from streams.outage import Outage
from streams.thread_workers import ThreadWorkers
from telemetry import ranges

COMMIT_SECONDS = 0.2
COMPARE_SECONDS = 5.0
"""How soon it is noticed that the log lost what was read of it, where nothing new makes the projector compare."""

log = get_logger("prosa.consumer")


class Marks:
    """The marks of the partitions that a group serves; `serving` is the group's own, and `owns` tells whether the lease holds."""

    def __init__(
        self, event_log: EventLog, group: str, serving: Mapping[int, ThreadWorkers], owns: Callable[[int], bool]
    ) -> None:
        self.lag: dict[int, int | None] = {}
        self._log = event_log
        self._group = group
        self._serving = serving
        self._owns = owns
        self._committing = asyncio.Lock()
        self.heartbeat = Heartbeat(f"{group} commits")

    async def commit(self) -> bool:
        """
        Commit what has moved; false where nothing had, and the log was not asked.

        One call after the other, so that no older mark lands after a newer one.
        """
        async with self._committing:
            moved = {
                partition: (workers, workers.mark)
                for partition, workers in self._serving.items()
                if workers.mark != workers.committed and self._owns(partition)
            }
            if not moved:
                return False
            positions = {partition: mark.position for partition, (_, mark) in moved.items()}
            entries = {partition: mark.entries for partition, (_, mark) in moved.items() if mark.entries is not None}
            reached("group.committing")
            await self._log.commit(self._group, positions, entries)
            reached("group.committed")
            for workers, mark in moved.values():
                workers.committed = mark
            return True

    async def commit_regularly(self) -> None:
        outage = Outage("cannot commit", group=self._group)
        while True:
            self.heartbeat.beat()
            await asyncio.sleep(COMMIT_SECONDS)
            try:
                if await self.commit():
                    outage.over()
            except LogUnavailable as error:
                await asyncio.sleep(outage.failed(error))

    async def compare_regularly(self) -> None:
        """
        An owner that was paused may have set back a mark that we moved; then it is committed again.

        Raises `CheckpointAhead` where the log does not hold what was read, and `EpochChanged` where it has a new generation.
        """
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            try:
                async with self._committing:
                    marks = await self._log.committed(self._group)
                    self._tell_set_back(marks)
                    for partition, workers in self._serving.items():
                        self.lag[partition] = marks[partition].lag
                        workers.committed = Mark(marks[partition].position, marks[partition].entries)
                    read = {partition: Consumed(workers.cursor) for partition, workers in self._serving.items()}
                await require_agreement(self._log, read)
            except LogUnavailable:
                continue  # the loop that commits tells of it

    def _tell_set_back(self, marks: Mapping[int, Committed]) -> None:
        set_back = [p for p, workers in self._serving.items() if marks[p].position < workers.committed.position]
        if set_back:
            log.warning(
                "marks.set_back",
                reason="by an owner before, or their group was gone",
                group=self._group,
                partitions=ranges(set_back),
            )
