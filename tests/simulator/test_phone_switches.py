"""The switch panel is a list: whatever stands in it works."""

import pytest

from simulator.faults import FaultPlan
from simulator.phone.switches import BOARD_OF_PAGE, SWITCHES, board_of, parted, position, switched

PLAIN = board_of(FaultPlan(), BOARD_OF_PAGE)
POSITIONS = [(name, index) for name, switch in SWITCHES.items() for index in range(len(switch.settings))]


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_off_where_nothing_is_planned(name: str) -> None:
    assert position(SWITCHES[name], PLAIN) is None


@pytest.mark.parametrize(("name", "index"), POSITIONS)
def test_a_switch_stands_where_it_was_put_and_moves_no_other(name: str, index: int) -> None:
    plan, page = parted(switched(PLAIN, SWITCHES[name], index))
    board = board_of(plan, page)
    assert {other: position(switch, board) for other, switch in SWITCHES.items() if position(switch, board) is not None} == {
        name: index
    }


@pytest.mark.parametrize(("name", "index"), POSITIONS)
def test_a_switch_that_is_turned_off_again_leaves_nothing(name: str, index: int) -> None:
    switch = SWITCHES[name]
    assert parted(switched(switched(PLAIN, switch, index), switch, None)) == (FaultPlan(), BOARD_OF_PAGE)


def test_what_is_used_up_is_off() -> None:
    rejected = switched(PLAIN, SWITCHES["create.reject"], 0)
    rejected["create"]["reject"]["n"] = 0
    assert position(SWITCHES["create.reject"], rejected) is None


def test_a_fault_that_is_not_on_the_panel_outlives_a_turn_of_a_switch() -> None:
    plan = FaultPlan.model_validate({"create": {"rates": {"429": 0.5}, "hang_seconds": 3}})
    turned, _ = parted(switched(board_of(plan, BOARD_OF_PAGE), SWITCHES["create.429"], 0))
    assert turned.create.rates == plan.create.rates
    assert turned.create.hang_seconds == 3
