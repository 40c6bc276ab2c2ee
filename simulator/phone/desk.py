"""What the page works with: the running stand-in, and what stands beside it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.phone.beside import Beside
from simulator.phone.switches import board_of, plan_of
from simulator.simulation import Simulation


@dataclass(slots=True)
class Desk:
    """`leaving` is set when the process is about to end: open pages are let go."""

    simulation: Simulation
    beside: Beside | None
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    open_pages: int = 0
    _written: int = 0

    @property
    def board(self) -> dict[str, Any]:
        """All switches as they stand."""
        return board_of(self.simulation.faults.plan)

    @board.setter
    def board(self, board: Mapping[str, Any]) -> None:
        self.simulation.plan_faults(plan_of(board))

    def next_seed(self) -> int:
        self._written += 1
        return len(self.simulation.account.ledger) + self._written
