"""The short sweep: real processes on real servers end, and are paused, at every crash point that a small run passes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import crash_points
from tests.harness.campaign import KINDS, Planned, campaign, planned
from tests.harness.crashes import Action, Crash
from tests.harness.faults import FAULTS
from tests.harness.nursery import CHECKOUT
from tests.harness.report import table
from tests.harness.scenes import SCENES, Scene, scene_of
from tests.harness.servers import Servers, servers
from tests.harness.sweep import COVERED_ELSEWHERE, every_crash, few_crashes

SEED = 7
REACHED = 0.9
"""The share of crashes that must happen: a run that was broken passes a point less often than a calm one may."""
PAUSED = (
    *("webhook.appended", "projector.written", "projector.moved", "projector.committed", "group.delivered", "group.handled"),
    *("group.committing", "outcome.decided", "outcome.appended", "responder.asked", "sender.calling", "sender.called"),
    *("sender.listed", "lease.renewed"),
)
"""Where a pause is another thing than an end: whoever wakes goes on with what it thought was so."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


async def test_wherever_a_process_ends_or_pauses_nothing_is_lost_doubled_or_reordered(ours: Servers, tmp_path: Path) -> None:
    async with campaign(ours, tmp_path, print) as found:
        points = await found.points(SEED)
        assert points.keys() | COVERED_ELSEWHERE.keys() == crash_points.POINTS.keys()
        assert not points.keys() & COVERED_ELSEWHERE.keys()
        plan = [Planned(crash, SEED) for crash in few_crashes(points, stopped=PAUSED)]
        verdicts = await found.run([*plan, *(Planned(fault, SEED) for fault in FAULTS)])
    print(table(verdicts))  # noqa: T201 - what pytest shows on failure
    assert [(verdict.spec, verdict.violations, verdict.folder) for verdict in verdicts if verdict.violations] == []
    assert sum(verdict.has_happened for verdict in verdicts) >= REACHED * len(verdicts)


@pytest.mark.parametrize(("point", "test"), COVERED_ELSEWHERE.items())
def test_what_the_sweep_does_not_come_to_is_covered_by_a_test_that_names_it(point: str, test: str) -> None:
    path, _, name = test.partition("::")
    code = (CHECKOUT / path).read_text()
    [found] = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.AsyncFunctionDef) and node.name == name]
    assert point in (ast.get_source_segment(code, found) or "")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_is_made_for_points_that_exist_and_no_other_scene_has_them(scene: Scene) -> None:
    made_for = [point for point in crash_points.POINTS if scene.has(point)]
    assert made_for
    assert {scene_of(point) for point in made_for} == {scene}
    assert all(any(point.startswith(name) for point in made_for) for name in scene.points)


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
