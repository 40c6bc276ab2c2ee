"""The page on reliability names every promise once, and no test that is not there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from settings import Settings
from tests.monitoring.test_operations_guide import anchors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"

PROMISES = {"W": 10, "S": 13, "O": 7, "P": 8, "C": 5}
ROW = re.compile(r"^\| ([WSOPC]\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
MEASURED = ("Faults", "Recovery", "While the log is unreachable", "Ambiguous sends")


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def rows() -> list[tuple[str, str, str]]:
    return [(match[1], match[2], match[3]) for match in ROW.finditer(text())]


@cache
def names_in(path: str) -> frozenset[str]:
    """What pytest would collect there by name."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(name for name in found if name.startswith("test_"))


@pytest.mark.parametrize(("path", "name"), sorted(set(TEST.findall(text()))))
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert name in names_in(path)


def test_every_promise_has_its_row_and_no_other_has() -> None:
    promised = [f"{letter}{number}" for letter, last in PROMISES.items() for number in range(1, last + 1)]
    assert [name for name, _, _ in rows()] == promised


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_a_test_or_says_that_there_is_none(row: tuple[str, str, str]) -> None:
    _, _, held_by = row
    assert TEST.search(held_by) or held_by.startswith("*Not held*: ")


def test_what_looks_like_a_test_is_understood_as_one() -> None:
    """Else a misspelt one would not be looked for."""
    assert text().count("::") == len(TEST.findall(text()))


@pytest.mark.parametrize("heading", MEASURED)
def test_each_figure_says_how_it_is_measured(heading: str) -> None:
    section = text().partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    assert re.search(r"`(make|prosa|python -m) [^`]+`", section)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)\s]+)\)", text()))))
def test_a_link_leads_somewhere(target: str) -> None:
    file, _, anchor = target.partition("#")
    linked = PAGE.parent / file if file else PAGE
    assert linked.exists()
    assert not anchor or anchor in anchors(linked)


def test_a_setting_that_is_named_is_one() -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text()))
    assert "SEND_PROOF_SECONDS" in named
    assert named <= {name.upper() for name in Settings.model_fields}
