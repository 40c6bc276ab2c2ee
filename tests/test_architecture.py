"""Imports only go down, and pure files stay pure: read from the source, nothing is imported here."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOOR = {
    "settings": 0,
    "telemetry": 0,
    "metrics": 0,
    "tracing": 0,
    "streams": 0,
    "projections": 1,
    "webhook": 1,
    "handlers": 2,
    "operations": 3,
    "development": 3,
    "console": 4,
    "commands": 4,
    "cli": 5,
    "prosa": 6,
}
"""What a room may import lies on a lower floor; those of the ground floor may import each other."""

APART = "simulator"
"""Imports nothing of ours, and is imported only by what starts everything on one machine."""
MAY_START_THE_SIMULATOR = {"cli", "commands", "development"}

PURE = {
    "streams.errors",
    "streams.events",
    "streams.events.attempts",
    "streams.events.conversations",
    "streams.events.event_data",
    "streams.events.messages",
    "streams.events.replies",
    "streams.events.sends",
    "streams.events.time",
    "streams.envelope",
    "streams.partitions",
    "streams.upcasters",
    "streams.retry",
    "streams.suspicion",
    "streams.thread_token",
    "projections.changes",
    "projections.conversation",
    "projections.dead_letters",
    "projections.deadline_queue",
    "projections.deadlines",
    "projections.entries",
    "projections.folding",
    "projections.lateness",
    "projections.message_status",
    "projections.parts",
    "projections.policy",
    "projections.proof",
    "projections.replies",
    "projections.rows",
    "projections.sends",
    "projections.state",
    "projections.state.attempts",
    "projections.state.conversations",
    "projections.state.messages",
    "projections.state.replies",
    "handlers.decide",
    "handlers.error_table",
    "handlers.model_remedies",
    "handlers.parts",
    "operations.changes",
    "operations.durations",
    "operations.permission",
    "operations.refold",
    "webhook.forms",
    "webhook.readable",
    "webhook.signature",
}
CONTRACTS = {"streams.log"}
"""Shapes and protocols that a pure file may name; what keeps such a promise is not pure."""

PURE_LIBRARIES = {
    "base64",
    "binascii",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "math",
    "pydantic",
    "pydantic_core",
    "re",
    "types",
    "typing",
    "unicodedata",
    "urllib.parse",
    "zlib",
}
CLOCKS = {"now", "utcnow", "today"}
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "__import__"}

MAKES_AN_EVENT = ("streams.envelope", "new_event")
"""The one place among the pure files that looks at the clock and draws an id: where a fact is written down."""


@dataclass(frozen=True)
class Import:
    """A module that a file imports, and the line where it does."""

    module: str
    line: int


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name, tests and scripts left out."""
    files = [*ROOT.glob("*.py"), *(file for room in _packages() for file in room.rglob("*.py"))]
    return {_name(file): file for file in files}


def _packages() -> list[Path]:
    return [entry for entry in ROOT.iterdir() if (entry / "__init__.py").exists() and entry.name != "tests"]


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports_of(module: str) -> Iterator[Import]:
    """Every import, those inside functions and behind TYPE_CHECKING too; `from room import file` counts as that file."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            within = [f"{node.module}.{alias.name}" for alias in node.names]
            files = [name for name in within if name in modules()]
            yield from (Import(name, node.lineno) for name in files)
            if len(files) < len(within):
                yield Import(node.module or "", node.lineno)


def room_of(module: str) -> str:
    return module.partition(".")[0]


def is_ours(module: str) -> bool:
    return room_of(module) in {room_of(name) for name in modules()}


def ours(module: str) -> Iterator[Import]:
    return (each for each in imports_of(module) if is_ours(each.module))


# ------------------------------------------------------------------------------------------------------------ floors


def test_every_room_has_its_floor() -> None:
    """A new room must be placed before anything may import it."""
    assert {room_of(module) for module in modules()} - {APART} <= FLOOR.keys()


def test_imports_only_go_down() -> None:
    wrong = [
        f"{module}:{each.line} imports {each.module}"
        for module in modules()
        if room_of(module) != APART
        for each in ours(module)
        if room_of(each.module) != APART and not _goes_down(room_of(module), room_of(each.module))
    ]
    assert wrong == []


def _goes_down(above: str, below: str) -> bool:
    return above == below or FLOOR[below] < FLOOR[above] or FLOOR[above] == FLOOR[below] == 0


def test_the_simulator_imports_nothing_of_ours() -> None:
    wrong = [
        f"{module}:{each.line} imports {each.module}"
        for module in modules()
        if room_of(module) == APART
        for each in ours(module)
        if room_of(each.module) != APART
    ]
    assert wrong == []


def test_the_simulator_is_imported_only_by_what_starts_everything_on_one_machine() -> None:
    wrong = [
        f"{module}:{each.line} imports {each.module}"
        for module in modules()
        if room_of(module) not in MAY_START_THE_SIMULATOR | {APART}
        for each in ours(module)
        if room_of(each.module) == APART
    ]
    assert wrong == []


# -------------------------------------------------------------------------------------------------------- pure files


def test_every_pure_file_is_there() -> None:
    assert modules().keys() >= PURE


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_file_imports_only_what_is_pure(module: str) -> None:
    allowed = PURE_LIBRARIES | PURE | CONTRACTS
    drawn = {"ulid"} if module == MAKES_AN_EVENT[0] else set()
    wrong = [f"{module}:{each.line} imports {each.module}" for each in imports_of(module) if each.module not in allowed | drawn]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_file_reads_no_clock_draws_nothing_and_waits_for_nobody(module: str) -> None:
    wrong = [f"{module}:{node.lineno} {found}" for node, found in _impurities(module, tree_of(module))]
    assert wrong == []


def _impurities(module: str, tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and (module, node.name) == MAKES_AN_EVENT:
            continue
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node, "waits"
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            yield node, f"reads the clock: {node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS | {"ULID"}:
            yield node, f"calls {node.func.id}"
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield node, "keeps a state of its own"
        yield from _impurities(module, node)


def test_only_the_making_of_an_event_looks_at_the_clock() -> None:
    """The exception is one function, and it is still needed."""
    module, function = MAKES_AN_EVENT
    maker = next(node for node in tree_of(module).body if isinstance(node, ast.FunctionDef) and node.name == function)
    found = [what for _, what in _impurities(module, maker)]
    assert sorted(found) == ["calls ULID", "reads the clock: now"]


# -------------------------------------------------------------------------------------------- wiring stays out of reach


def test_what_shapes_state_knows_no_broker_and_no_server() -> None:
    """Down to the last import that it draws in, the fold reaches pure files only."""
    reached, frontier = set[str](), {"projections.conversation"}
    while frontier:
        module = frontier.pop()
        reached.add(module)
        frontier |= {each.module for each in ours(module)} - reached
    assert reached <= PURE


@pytest.mark.parametrize("module", ["handlers", "webhook"])
def test_an_entry_point_is_built_on_first_access(module: str) -> None:
    """Importing a package reads no environment: its `app` comes from a module `__getattr__`, and no file bears that name."""
    names = {node.name for node in tree_of(module).body if isinstance(node, ast.FunctionDef)}
    assert "__getattr__" in names
    assert f"{module}.app" not in modules()
    assert f"{module}.clock" not in modules()
    at_once = [node for node in tree_of(module).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in at_once if is_ours(getattr(node, "module", "") or "")] == []
