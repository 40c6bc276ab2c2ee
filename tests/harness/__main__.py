"""`make faults`: break the real processes at every step, on real servers, and count."""

import argparse
import asyncio
import fnmatch
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.harness.campaign import AT_ONCE, KINDS, Campaign, Planned, campaign, fault_named, planned
from tests.harness.report import table
from tests.harness.servers import servers
from tests.harness.storm import storm
from tests.harness.sweep import every_crash
from tests.harness.verdict import Verdict

MINUTES = 45.0
CRASH = "crash"
OF_EACH_FAULT = 8
"""How many trials of each class of fault one round of the whole sweep holds, each with a seed of its own."""

EXAMPLES = """
examples:
  make faults                                        everything, for 45 minutes
  make faults ARGS="--seed 7 --minutes 10"           another order of the same, and other contacts
  make faults ARGS="--faults kill-handlers,model-*"  some classes only
  make faults ARGS='--only "crash sender.called:2 kill seed 7"'   one trial again, as its line says it
  make faults ARGS="--storm 5"                       one system under faults of all kinds for five minutes
"""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m tests.harness",
        description="Break real processes on real servers while contacts write, and let the checker judge each end. "
        "Exit code 1 if anything was lost, answered or sent twice, or out of order; the history of it is kept.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--seed", type=int, default=1, help="of the contacts, the faults and their order")
    add("--minutes", type=float, default=MINUTES, help="begin no new trial after so long (45)")
    add("--at-once", type=int, default=AT_ONCE, help="systems at once; they mostly wait (4)")
    add("--only", metavar="SPEC", help="one trial, as the line of an earlier run says it")
    add("--faults", metavar="NAMES", help=f"only these: {', '.join([CRASH, *(fault.name for fault in KINDS)])}")
    add("--storm", type=float, metavar="MINUTES", help="one system under one fault after the other, so long")
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
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="prosa-faults-"))
    directory.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    async def run() -> list[Verdict]:
        async with campaign(running, directory, _tell, arguments.at_once) as found:
            if only is not None:
                return await found.run([only])
            if arguments.storm is not None:
                return [await storm(found.trial, arguments.seed, arguments.storm * 60, kinds, _tell)]
            points = await found.points(arguments.seed) if CRASH in names else {}
            return await _whole(found, points, [Planned(kind, 0) for kind in kinds], arguments.seed, arguments.minutes)

    with servers(directory / "servers") as running:
        verdicts = asyncio.run(run())
    _tell(f"\n{table(verdicts)}\n")
    _tell(f"{time.monotonic() - began:.0f} s, seed {arguments.seed}")
    violated = [verdict for verdict in verdicts if verdict.violations]
    for verdict in violated:
        _tell(f"again: make faults ARGS='--only \"{verdict.spec}\"'   history: {verdict.folder}")
    return 1 if violated else 0


def _named(pattern: str) -> list[str]:
    """Raises `ValueError` where nothing is called so."""
    return fnmatch.filter([CRASH, *(fault.name for fault in KINDS)], pattern) or [fault_named(pattern).name]


async def _whole(
    found: Campaign, points: Mapping[str, int], kinds: Sequence[Planned], seed: int, minutes: float
) -> list[Verdict]:
    """Everything once in an order drawn from the seed, and again with the next seed while there is time."""
    deadline = time.monotonic() + minutes * 60
    return await found.run(_rounds(points, kinds, seed), deadline)


def _rounds(points: Mapping[str, int], kinds: Sequence[Planned], seed: int) -> Iterator[Planned]:
    for number in itertools.count(seed):
        plan = [Planned(crash, number) for crash in every_crash(points)]
        plan += [Planned(each.kind, number * 1000 + trial) for each in kinds for trial in range(OF_EACH_FAULT)]
        random.Random(number).shuffle(plan)  # noqa: S311 - repeatable, not secret
        yield from plan


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
