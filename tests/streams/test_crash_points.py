"""The named places between two steps: each is passed somewhere, and passing costs nothing to speak of."""

import ast
import timeit
from collections import Counter
from pathlib import Path

import pytest

from streams import crash_points
from streams.crash_points import POINTS, reached

ROOT = Path(__file__).parents[2]
CODE = ("streams", "projections", "webhook", "handlers", "operations")


def passed() -> Counter[str]:
    """The names with which `reached` is called, and how often each stands in the code."""
    calls = [
        node
        for package in CODE
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reached"
    ]
    return Counter(ast.literal_eval(call.args[0]) for call in calls)


def test_every_point_that_is_listed_is_passed_at_one_place_and_no_other_is() -> None:
    assert passed() == Counter(dict.fromkeys(POINTS, 1))


def test_a_point_tells_its_name_to_whoever_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(crash_points, "on_reached", told.append)
    reached("sender.calling")
    assert told == ["sender.calling"]


def test_a_point_that_nobody_listens_to_costs_less_than_a_microsecond() -> None:
    calls = 10_000
    assert min(timeit.repeat(lambda: reached("sender.calling"), number=calls, repeat=5)) / calls < 1e-6
