"""Every line of ours is named as an event is, so that whoever searches many of them finds all of a kind by one word."""

import ast
import re
from collections.abc import Iterator

from tests.test_architecture import ROOT, modules, tree_of

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
NAME = re.compile(r"[a-z_]+\.[a-z_]+")
OF_A_PROCESS = {"started", "stopping", "stopped"}
"""A word alone: what it is about is the process, which every line names."""
DOCUMENTED = re.compile(r"[Ll]ines? `([^`]+)`")
ANY = "x"
"""In the place of a value that a name is made with."""


def names_of(module: str) -> Iterator[str]:
    """The names of the lines that a module writes, apart from those that it is given."""
    for node in ast.walk(tree_of(module)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[what, *_]) if level in LEVELS:
                yield from _names(what)


def _names(what: ast.expr) -> Iterator[str]:
    match what:
        case ast.Constant(value=str(name)):
            yield name
        case ast.IfExp(body=one, orelse=other):
            yield from (*_names(one), *_names(other))
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else ANY for part in parts)


def test_every_line_is_named_by_a_noun_and_what_became_of_it() -> None:
    written = [(module, name) for module in modules() for name in names_of(module)]
    assert len(written) > 60
    assert [each for each in written if not NAME.fullmatch(each[1]) and each[1] not in OF_A_PROCESS] == []


def test_a_line_that_the_runbook_names_is_written() -> None:
    written = {name for module in modules() for name in names_of(module)}
    told = DOCUMENTED.findall((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))
    assert len(told) > 5
    assert [name for name in told if name not in written] == []
