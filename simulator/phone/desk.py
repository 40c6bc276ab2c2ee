"""What the page works with: the running stand-in, what stands beside it, and what the page keeps itself."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.ledger import Kind
from simulator.phone.beside import Beside
from simulator.phone.switches import BOARD_OF_PAGE, board_of, parted
from simulator.simulation import Simulation


@dataclass(slots=True)
class Desk:
    """`leaving` is set when the process is about to end: open pages are let go."""

    simulation: Simulation
    beside: Beside | None
    page_board: dict[str, Any] = field(default_factory=lambda: dict(BOARD_OF_PAGE))
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    open_pages: int = 0
    _written: int = 0

    @property
    def board(self) -> dict[str, Any]:
        """All switches as they stand."""
        return board_of(self.simulation.faults.plan, self.page_board)

    @board.setter
    def board(self, board: Mapping[str, Any]) -> None:
        plan, self.page_board = parted(board)
        self.simulation.faults.plan = plan
        self.simulation.account.record(Kind.FAULTS_CHANGED, plan=plan.model_dump(mode="json", by_alias=True))

    def next_seed(self) -> int:
        self._written += 1
        return len(self.simulation.account.ledger) + self._written
