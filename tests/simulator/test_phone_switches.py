"""The switch panel is a list: whatever stands in it works."""

import pytest

from simulator.faults import CreateFault, FaultPlan, ListingFault
from simulator.model.faults import ModelFault
from simulator.phone.switches import SWITCHES, board_of, plan_of, position, switched

PLAIN = board_of(FaultPlan())
POSITIONS = [(name, index) for name, switch in SWITCHES.items() for index in range(len(switch.settings))]


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_off_where_nothing_is_planned(name: str) -> None:
    assert position(SWITCHES[name], PLAIN) is None


@pytest.mark.parametrize(("name", "index"), POSITIONS)
def test_a_switch_stands_where_it_was_put_and_moves_no_other(name: str, index: int) -> None:
    board = board_of(plan_of(switched(PLAIN, SWITCHES[name], index)))
    assert {other: position(switch, board) for other, switch in SWITCHES.items() if position(switch, board) is not None} == {
        name: index
    }


@pytest.mark.parametrize(("name", "index"), POSITIONS)
def test_a_switch_that_is_turned_off_again_leaves_nothing(name: str, index: int) -> None:
    switch = SWITCHES[name]
    assert plan_of(switched(switched(PLAIN, switch, index), switch, None)) == FaultPlan()


def test_what_is_used_up_is_off() -> None:
    rejected = switched(PLAIN, SWITCHES["create.reject"], 0)
    rejected["create"]["reject"]["n"] = 0
    assert position(SWITCHES["create.reject"], rejected) is None


def test_what_is_partly_used_up_shows_what_it_was_set_to() -> None:
    switch = SWITCHES["model.500"]
    for index, setting in enumerate(switch.settings):
        assert position(switch, {"model": {"500": setting.value}}) == index
    assert position(switch, {"model": {"500": switch.settings[2].value - 7}}) == 2
    assert position(switch, {"model": {"500": 4}}) == 1


def test_a_fault_that_is_not_on_the_panel_outlives_a_turn_of_a_switch() -> None:
    plan = FaultPlan.model_validate(
        {"create": {"rates": {"429": 0.5}, "hang_seconds": 3}, "callbacks": {"fail_rates": {63016: 1}}}
    )
    turned = plan_of(switched(board_of(plan), SWITCHES["create.429"], 0))
    assert turned.create.rates == plan.create.rates
    assert turned.callbacks.fail_rates == {63016: 1.0}
    assert turned.create.hang_seconds == 3


def test_every_fault_of_a_send_a_listing_and_the_model_has_its_switch() -> None:
    faults = {"create": CreateFault, "listing": ListingFault, "model": ModelFault}
    assert {f"{section}.{fault}" for section, kinds in faults.items() for fault in kinds} <= SWITCHES.keys()
