"""Some seeds of what Twilio, the model and the way in do wrong, with real processes; `make faults` has the rest."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from simulator.faults import FaultPlan
from tests.harness.ambiguous import PLAN
from tests.harness.campaign import campaign, planned
from tests.harness.report import table
from tests.harness.servers import Servers, servers
from tests.harness.twilio_faults import CLASSES, KINDS

TRIALS = (
    *("create-500-after seed 2", "create-hang-before-no-proof seed 1", "create-late seed 1", "create-429 seed 1"),
    *("callbacks-failing-63018 seed 3", "callbacks-reversed seed 1", "listing-reset seed 3"),
    *("inbound-lost seed 2", "inbound-lost-by-hand seed 2", "inbound-doubled seed 1"),
    *("model-reset-midway seed 1", "model-not-json-no-proof seed 1"),
)
"""Beside most of them a process is killed or paused."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


async def test_whatever_twilio_and_the_model_do_wrong_nothing_is_lost_doubled_or_reordered(ours: Servers, tmp_path: Path) -> None:
    async with campaign(ours, tmp_path, print) as found:
        verdicts = await found.run([planned(line) for line in TRIALS])
    print(table(verdicts))  # noqa: T201 - what pytest shows on failure
    assert [(verdict.spec, verdict.violations, verdict.folder) for verdict in verdicts if verdict.violations] == []
    assert len(verdicts) == len(TRIALS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_simulator_understands_every_plan_and_a_seed_repeats_it(kind: object) -> None:
    assert isinstance(kind, type(KINDS[0]))
    for seed in range(30):
        plan = kind.plan(Random(seed))  # noqa: S311 - repeatable, not secret
        assert FaultPlan.model_validate({**plan, "seed": seed}) != FaultPlan()
        assert kind.plan(Random(seed)) == plan  # noqa: S311


def test_the_simulator_understands_the_plan_of_the_ambiguous_sends() -> None:
    assert FaultPlan.model_validate(PLAN).create.rates


def test_every_kind_comes_with_both_meanings_of_absence() -> None:
    assert len({fault.name for fault in CLASSES}) == 2 * len(KINDS)
    assert sum(fault.settings.get("SEND_ABSENCE_IS_PROOF") == "false" for fault in CLASSES) == len(KINDS)
