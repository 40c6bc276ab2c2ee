"""What docs/simulator.md tells holds."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from simulator.faults import CallbackFaults, CreateFaults, FaultPlan, InboundFaults, ListingFaults
from simulator.ledger import Kind
from simulator.model.faults import ModelFaults
from tests.simulator.stand_in import StandIn

TOLD = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    "create": CreateFaults,
    "callbacks": CallbackFaults,
    "inbound": InboundFaults,
    "listing": ListingFaults,
    "model": ModelFaults,
}
GENERAL = {"rates", "slow_seconds", "hang_seconds"}
"""Told once for all."""


async def test_the_plan_that_is_shown_is_taken(stand_in: StandIn) -> None:
    [plan] = re.findall(r"-d '(\{.*?\n\})'", TOLD, re.DOTALL)
    await stand_in.break_down(**json.loads(plan))
    assert await stand_in.control("GET", "faults") != FaultPlan().model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_fault_of_a_section_is_told(section: str) -> None:
    [row] = re.findall(rf"^\| `{section}` \|(.*)\|$", TOLD, re.MULTILINE)
    names = {field.alias or name for name, field in SECTIONS[section].model_fields.items()} - GENERAL
    assert names <= set(re.findall(r"`(\w+)`", row))


def test_every_section_is_told() -> None:
    assert set(FaultPlan.model_fields) - {"seed", "listing_delay_seconds"} == SECTIONS.keys()


@pytest.mark.parametrize("kind", [Kind.FAULT_HAPPENED, Kind.MESSAGE_DROPPED, Kind.MODEL_ASKED])
def test_the_ledgers_words_are_the_ones_that_are_told(kind: Kind) -> None:
    assert f"`{kind}`" in TOLD
