"""The short sweep: real processes on real servers end, and are paused, at every crash point that a small run passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import crash_points
from tests.harness.campaign import KINDS, Planned, campaign, planned
from tests.harness.crashes import Action, Crash
from tests.harness.faults import FAULTS
from tests.harness.report import table
from tests.harness.servers import Servers, servers
from tests.harness.sweep import every_crash, few_crashes

SEED = 7
REACHED = 0.9
"""The share of crashes that must happen: a run that was broken passes a point less often than a calm one may."""
PAUSED = (
    *("webhook.appended", "projector.written", "projector.moved", "projector.committed", "group.delivered", "group.handled"),
    *("group.committing", "outcome.decided", "outcome.appended", "responder.asked", "sender.calling", "sender.called"),
    *("sender.listed", "lease.renewed"),
)
"""Where a pause is another thing than an end: whoever wakes goes on with what it thought was so."""
NOT_PASSED = ("repair.", "reconciler.", "log.")
"""A repair, a lost record and what is looked for after a minute at the earliest: other tests do that."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


async def test_wherever_a_process_ends_or_pauses_nothing_is_lost_doubled_or_reordered(ours: Servers, tmp_path: Path) -> None:
    async with campaign(ours, tmp_path, print) as found:
        points = await found.points(SEED)
        missing = {point for point in crash_points.POINTS if not points.get(point)}
        assert all(point.startswith(NOT_PASSED) for point in missing), missing
        plan = [Planned(crash, SEED) for crash in few_crashes(points, stopped=PAUSED)]
        verdicts = await found.run([*plan, *(Planned(fault, SEED) for fault in FAULTS)])
    print(table(verdicts))  # noqa: T201 - what pytest shows on failure
    assert [(verdict.spec, verdict.violations, verdict.folder) for verdict in verdicts if verdict.violations] == []
    assert sum(verdict.has_happened for verdict in verdicts) >= REACHED * len(verdicts)


def test_a_trial_is_repeated_by_its_line() -> None:
    crashes = every_crash({"sender.called": 2, "clock.ticking": 1}, [*Action])
    assert len(crashes) == 9
    for each in [Planned(crash, 7) for crash in crashes] + [Planned(fault, 12) for fault in KINDS]:
        assert planned(str(each)) == each


@pytest.mark.parametrize(
    "mistake", ["", "crash", "crash sender.called kill seed 7", "crash nowhere:1 kill seed 7", "kill-handlers", "eat seed 1"]
)
def test_a_line_that_is_no_trial_is_told(mistake: str) -> None:
    with pytest.raises(ValueError, match=r"looks like|there is no|there are"):
        planned(mistake)


def test_the_short_sweep_goes_over_every_point() -> None:
    crashes = few_crashes({"sender.called": 9, "clock.ticking": 1}, stopped=["sender.called"])
    assert crashes == [
        Crash("sender.called", 5, Action.KILL),
        Crash("sender.called", 6, Action.STOP),
        Crash("clock.ticking", 1, Action.KILL),
    ]
