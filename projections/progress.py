"""Waiting until the projection has seen a position: how a handler knows that the state it loads is new enough."""

import asyncio
import itertools
from collections.abc import Mapping

from projections.database import Database, sql

POLL_SECONDS = 0.05
"""How long to wait for the projector of this process before the checkpoints are looked up in Postgres, and between two looks."""


class Progress:
    """
    The checkpoints as far as this process knows them; told by its own projector, else looked up.

    However many wait, one task looks, and only while somebody waits.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._positions: dict[int, int] = {}
        self._waiters: dict[int, set[asyncio.Future[None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    def moved(self, positions: Mapping[int, int]) -> None:
        """These checkpoints were committed, or read a moment ago: they are at least there."""
        self.found({partition: max(position, self._positions.get(partition, 0)) for partition, position in positions.items()})

    def found(self, positions: Mapping[int, int]) -> None:
        """Where the checkpoints stand for certain: further back than they were, if Postgres lost commits."""
        self._positions.update(positions)
        for partition in positions:
            for waiter in self._waiters.get(partition, ()):
                _tell(waiter)

    async def reached(self, partition: int, position: int) -> None:
        """
        Return once the checkpoint of the partition stands at or after the position, however long that takes.

        Raises what looking it up raises.
        """
        while self._positions.get(partition, 0) < position:
            waiter = asyncio.get_running_loop().create_future()
            waiters = self._waiters.setdefault(partition, set())
            waiters.add(waiter)
            self._look()
            try:
                await waiter
            finally:
                waiters.discard(waiter)

    def forget(self, partition: int) -> None:
        """Believe nothing about a partition that another process serves now."""
        self._positions.pop(partition, None)

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_up(), name="progress: look up")
            self._looking.add_done_callback(self._looked)

    async def _look_up(self) -> None:
        await asyncio.sleep(POLL_SECONDS)
        while waited := [partition for partition, waiters in self._waiters.items() if waiters]:
            async with self._database.transaction(readonly=True) as connection:
                rows = await connection.fetch(sql("positions"), waited)
            self.moved({row["partition"]: row["position"] for row in rows})
            await asyncio.sleep(POLL_SECONDS)

    def _looked(self, looking: asyncio.Task[None]) -> None:
        """Whatever looking up raised, those who wait raise it."""
        error = None if looking.cancelled() else looking.exception()
        if error is not None:
            for waiter in itertools.chain.from_iterable(self._waiters.values()):
                _tell(waiter, error)


def _tell(waiter: asyncio.Future[None], error: BaseException | None = None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
