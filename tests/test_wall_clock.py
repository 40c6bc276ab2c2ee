"""Which code reads the clock of its host, and why that may be wrong without harm. Leases, retries and deadlines are not in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("streams", "projections", "webhook", "handlers", "operations")

READS = {
    "streams/envelope.py": "says in the event when its writer thought that it was; nothing goes by it",
    "streams/lag.py": "an age for a gauge, where clocks that differ shall show",
    "handlers/gauges.py": "an age for a gauge",
    "handlers/twilio_answers.py": "a Retry-After that names a date is turned into a wait, which other bounds cut short",
    "operations/sends.py": "what is listed to an operator as started long ago",
    "operations/doctor/host_clock.py": "measures how wrong this clock is",
}

WALL_CLOCKS = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "CLOCK_REALTIME"},
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
}
CALENDARS = {"zoneinfo", "calendar", "dateutil", "pytz", "tzlocal", "croniter"}


def files() -> Iterator[Path]:
    yield from ROOT.glob("*.py")
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def nodes(file: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def reads_the_wall_clock(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attribute):
            return attribute in WALL_CLOCKS.get(name, ())
        case ast.ImportFrom(module="time", names=names):
            return any(name.name in WALL_CLOCKS["time"] for name in names)
    return False


def test_every_look_at_the_hosts_clock_has_its_reason() -> None:
    """A new one either goes by the log's time or the monotonic clock, or says here what it harms when it is wrong: nothing."""
    found = {file.relative_to(ROOT).as_posix() for file in files() if any(map(reads_the_wall_clock, nodes(file)))}
    assert found == set(READS)


def test_this_look_finds_what_it_looks_for() -> None:
    for code in ("time.time()", "datetime.now(UTC)", "datetime.datetime.utcnow()", "from time import time_ns", "date.today()"):
        assert any(map(reads_the_wall_clock, ast.walk(ast.parse(code)))), code
    for code in ("time.monotonic()", "datetime.fromtimestamp(1, UTC)", "log.time_ms()", "from time import perf_counter"):
        assert not any(map(reads_the_wall_clock, ast.walk(ast.parse(code)))), code


def test_no_code_knows_a_calendar() -> None:
    """There are no schedules by the hour of a day: what is due is so many milliseconds later, whatever a zone does meanwhile."""
    imported = {
        alias.name.partition(".")[0]
        for file in files()
        for node in nodes(file)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert not imported & CALENDARS
