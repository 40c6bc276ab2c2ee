"""`make faults`: break the real processes at every step, on real servers, and count."""

import argparse
import asyncio
import fnmatch
import shlex
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from streams import crash_points
from tests.harness.campaign import AT_ONCE, KINDS, campaign, fault_named, planned
from tests.harness.report import LEGEND, family_of, markdown, summary, table
from tests.harness.rounds import rounds, untried
from tests.harness.self_test import self_test
from tests.harness.servers import servers
from tests.harness.storm import storm
from tests.harness.sweep import COVERED_ELSEWHERE
from tests.harness.verdict import Verdict

MINUTES = 45.0
CRASH = "crash"
INTERRUPTED = 130
"""The exit code, as a shell has it."""

DESCRIPTION = """
Breaks real processes on real servers while contacts write, hundreds of times, and judges the end of each.

A trial is a small Prosa of its own: a webhook, two workers, a clock, Redis, Postgres, and a stand-in for Twilio that keeps
what the phones saw. Five contacts write about twenty messages, something is broken and healed, and when all is quiet a checker
compares the phones, the log and the read model: nothing that was acknowledged is lost, nothing is answered or sent twice, or
out of order. What breaks: any process, killed or paused at each crash point at each passing of it; servers, connections,
Twilio, the model; a log that loses what it had, which is repaired by the real commands.

Before anything else violations of every kind are put into a clean history, and the checker must find them. Then each line
is a trial, and repeats it with --only. One trial of each class comes first. At the end a table counts. What broke a law is
listed once more, with the folder of its history: log, rows, ledger, outputs. Exit code 0 where no law was broken, 1 where
one was, 2 for a wrong option, 130 after Ctrl-C.
"""
EXAMPLES = """
examples:
  make faults                                        everything, for 45 minutes
  make faults ARGS="--seed 7 --minutes 10"           another order of the same, and other contacts
  make faults ARGS="--list"                          the classes of faults and the crash points
  make faults ARGS="--faults kill-handlers,model-*"  some classes only
  make faults ARGS="--only 'crash sender.called:2 kill seed 7'"   one trial again, as its line says it
  make faults ARGS="--storm 5"                       one system under faults of all kinds for five minutes
  make faults ARGS="--markdown table.md"             the table for the docs, by family
"""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m tests.harness",
        usage="python -m tests.harness [options], or make faults ARGS='...'",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--seed", type=int, default=1, help="of the contacts, the faults and their order (default 1)")
    add("--minutes", type=float, default=MINUTES, help="begin no new trial after so long (default 45)")
    add("--at-once", type=int, default=AT_ONCE, help="systems at once; they mostly wait (default 4; two where others work too)")
    add("--only", metavar="SPEC", help="one trial, as the line of an earlier run says it")
    add(
        "--faults",
        metavar="NAMES",
        help="only these classes, with commas; * stands for anything; crash is all crash points",
    )
    add("--list", action="store_true", help="show the classes and the crash points, and do nothing")
    add("--storm", type=float, metavar="MINUTES", help="one system under one fault after the other, so long")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as Markdown too, by family")
    add("--directory", type=Path, help="where histories are kept; a new temporary folder otherwise")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        only = planned(arguments.only) if arguments.only else None
        names = [name for pattern in (arguments.faults or "*").split(",") for name in _named(pattern)]
        kinds = [fault_named(name) for name in names if name != CRASH]
    except ValueError as mistake:
        sys.stderr.write(f"{mistake}\n")
        return 2
    if arguments.list:
        _tell("\n".join(_list()))
        return 0
    is_sound, told = self_test()
    if not is_sound:
        _tell(f"{told}\n\nThe checker does not find what it must find; its verdicts would prove nothing.")
        return 1
    _tell(f"The checker finds every violation that is put into a clean history: {told.splitlines()[-1]}.")
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="prosa-faults-"))
    directory.mkdir(parents=True, exist_ok=True)
    began, finished, is_interrupted = time.monotonic(), list[Verdict](), False
    points = dict[str, int]()
    at_once = f"{arguments.at_once} systems at once" if arguments.at_once > 1 else "one system at a time"
    _tell(f"seed {arguments.seed}, {at_once}; the history of what breaks a law is kept in {directory}")

    async def run() -> list[Verdict]:
        async with campaign(running, directory, _tell, arguments.at_once, finished) as found:
            if only is not None:
                return await found.run([only])
            if arguments.storm is not None:
                return [await storm(found.trial, arguments.seed, arguments.storm * 60, kinds, _tell)]
            if CRASH in names:
                points.update(await found.points(arguments.seed))
            deadline = time.monotonic() + arguments.minutes * 60
            return await found.run(rounds(points, kinds, arguments.seed), deadline)

    with servers(directory / "servers") as running:
        try:
            verdicts = asyncio.run(run())
        except KeyboardInterrupt:
            verdicts, is_interrupted = finished, True
            _tell("\ninterrupted; what was done by then:")
    is_campaign = only is None and arguments.storm is None
    _conclude(verdicts, COVERED_ELSEWHERE if is_campaign and CRASH in names else {})
    if is_campaign and (left := untried(points, kinds, verdicts)):
        _tell(f"Not tried in this time: {', '.join(left)}.")
    command = _command(arguments)
    if arguments.markdown:
        arguments.markdown.write_text(markdown(verdicts, command))
    single = f"; a single trial: {_again(verdicts[-1])}" if verdicts and arguments.storm is None else ""
    _tell(f"seed {arguments.seed}, {time.monotonic() - began:.0f} s: {command}{single}")
    if any(verdict.violations for verdict in verdicts):
        return 1
    if arguments.directory is None:
        shutil.rmtree(directory)
    return INTERRUPTED if is_interrupted else 0


def _conclude(verdicts: Sequence[Verdict], elsewhere: Mapping[str, str]) -> None:
    """The table, how to read it, what is not in it, and how to see again what went wrong."""
    _tell(f"\n{table(verdicts)}\n\n{LEGEND}\n\n{summary(verdicts)}")
    for point, test in elsewhere.items():
        _tell(f"The point {point} is covered elsewhere, by {test}.")
    for verdict in verdicts:
        if verdict.violations:
            _tell(f"{_again(verdict)}   history: {verdict.folder}")


def _command(arguments: argparse.Namespace) -> str:
    """What repeats this run; where things are written does not matter."""
    words = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in vars(arguments).items()
        if _matters(name, value)
    ]
    return f'make faults ARGS="{" ".join(words)}"'


def _matters(name: str, value: object) -> bool:
    return name in ("seed", "minutes", "at_once", "only", "faults", "storm") and value is not None


def _again(verdict: Verdict) -> str:
    return f"make faults ARGS=\"--only '{verdict.spec}'\""


def _list() -> Iterator[str]:
    """Every class, by family; then every crash point."""
    families = {
        family_of(fault.name): [each.name for each in KINDS if family_of(each.name) == family_of(fault.name)] for fault in KINDS
    }
    for family, names in families.items():
        yield f"{family}:"
        yield textwrap.fill(", ".join(names), 120, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    yield f"{CRASH}, a process killed and paused at each passing of:"
    yield from (f"  {point:22}  {words}" for point, words in crash_points.POINTS.items())
    yield from (f"{point} is covered elsewhere, by {test}" for point, test in COVERED_ELSEWHERE.items())


def _named(pattern: str) -> list[str]:
    """Raises `ValueError` where nothing is called so."""
    return fnmatch.filter([CRASH, *(fault.name for fault in KINDS)], pattern) or [fault_named(pattern).name]


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
