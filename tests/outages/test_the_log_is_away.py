"""
The log is away in every way that a server or a network knows: nobody spins, floods the log lines or ends, and all go on.

`python -m tests.outages.figures outages` prints what this costs.
"""

import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.outages.log_faults import FAULTS
from tests.outages.measured import everything, measure
from tests.outages.system import Program, System

pytestmark = pytest.mark.alone
"""Seconds and shares of a core are asserted."""

WORKERS = 2
SECONDS = 2.0
MOST_CORES = 0.05
"""Of one process; a loop without a pause takes nine tenths of a core."""
TOLD_ONCE = 12
"""By one process: each loop that waits tells so, what was lost is told, and that it goes on."""
RECOVERED_SECONDS = 3.0
"""Nobody pauses for longer than two."""


@pytest.fixture(scope="module")
def programs(servers: System) -> Iterator[Sequence[Program]]:
    with everything(servers, WORKERS) as found:
        yield found


@pytest.mark.parametrize("fault", FAULTS)
def test_nobody_spins_or_floods_while_the_log_is_away_and_all_go_on(
    servers: System, programs: Sequence[Program], fault: str
) -> None:
    cost = measure(servers, programs, fault, SECONDS)
    sys.stdout.write(f"{cost}\n")
    assert max(cost.cpu["handlers"] / WORKERS, cost.cpu["clock"], cost.cpu["webhook"]) <= MOST_CORES, cost
    assert max(cost.lines.values()) <= TOLD_ONCE * WORKERS, cost
    assert cost.recovered_seconds < RECOVERED_SECONDS, cost
