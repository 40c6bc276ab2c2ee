"""Waiting until the projection has seen a position: how a handler knows that the state it loads is new enough."""

import asyncio
from collections.abc import Mapping

from projections.database import Database, sql

POLL_SECONDS = 0.05
"""How long to wait for the projector of this process before the checkpoint is looked up in Postgres."""


class Progress:
    """The checkpoints as far as this process knows them; told by its own projector, else looked up."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._positions: dict[int, int] = {}
        self._moved: dict[int, asyncio.Event] = {}

    def moved(self, positions: Mapping[int, int]) -> None:
        """The projector committed these checkpoints."""
        for partition, position in positions.items():
            self._positions[partition] = max(position, self._positions.get(partition, 0))
            self._moved.pop(partition, asyncio.Event()).set()

    async def reached(self, partition: int, position: int) -> None:
        """Return once the checkpoint of the partition stands at or after the position, however long that takes."""
        while self._positions.get(partition, 0) < position:
            moved = self._moved.setdefault(partition, asyncio.Event())
            try:
                await asyncio.wait_for(moved.wait(), POLL_SECONDS)
            except TimeoutError:
                await self._look_up(partition)

    def forget(self, partition: int) -> None:
        """Believe nothing about a partition that another process serves now."""
        self._positions.pop(partition, None)

    async def _look_up(self, partition: int) -> None:
        async with self._database.transaction(readonly=True) as connection:
            rows = await connection.fetch(sql("positions"), [partition])
        self.moved({row["partition"]: row["position"] for row in rows})
