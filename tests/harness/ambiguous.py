"""
How often a send of unknown outcome is doubled, or left to a person: thousands of them, while workers are killed.

Twilio breaks about half of the sends off without an answer, before or after it took the message; of what it took few callbacks
tell, and its list shows it nearly as late as the proof may take. All of that in one system of real processes, first where absence
from the list proves that nothing was sent, then where it proves nothing.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from streams.events import SendDisproved, SendUnconfirmed
from tests.harness.allowed import Allowed, Fate
from tests.harness.checker import violations
from tests.harness.history import History
from tests.harness.nursery import Nursery, nursery
from tests.harness.phones import UNDELIVERED
from tests.harness.report import quantiles
from tests.harness.servers import Servers, servers
from tests.harness.system import System
from tests.harness.trial import Trial

BEFORE = {"500_before": 0.08, "reset_before": 0.06, "hang_before": 0.04}
AFTER = {"late": 0.04, "500_after": 0.12, "reset_after": 0.12, "hang_after": 0.06, "slow": 0.03}
"""Late and slow ones come after the caller has given up."""
PLAN: dict[str, Any] = {
    "create": {"rates": {**BEFORE, **AFTER}, "slow_seconds": 1.8},
    "callbacks": {"lost_rate": 0.8, "jitter_seconds": 2.0},
    "listing": {"rates": {"500": 0.05, "reset": 0.03, "garbled": 0.03}},
    "listing_delay_seconds": 0.9,
}
BETWEEN_MESSAGES = (1.0, 2.0)
"""Seconds from one message of a contact until the next, or until it is looked whether they still wait for an answer."""
LOOK_SECONDS = 0.5
WAITING = """
SELECT thread FROM prosa.threads WHERE awaits_answer_since_ms IS NOT NULL
UNION SELECT thread FROM prosa.replies WHERE status = 'accepted'
"""
BETWEEN_KILLS = 30.0
"""On average, in seconds; so seldom that no message is suspected of killing its workers."""
SETTLED_SECONDS = 180.0

EXAMPLES = """
examples:
  python -m tests.harness.ambiguous                              both, for eight minutes together
  python -m tests.harness.ambiguous --minutes 1 --contacts 20    a taste
"""


@dataclass(frozen=True)
class Figure:
    """What came of the sends of one system; seconds are from the start of an attempt to its outcome."""

    absence_is_proof: bool
    acked: int
    sends: int
    broken_off: Counter[str]
    kills: int
    doubled: int
    unconfirmed: int
    unconfirmed_though_listed: int
    told: Sequence[float]
    """Where a callback or the list told."""
    absent: Sequence[float]
    """Where nothing did."""
    violations: Sequence[str]

    @property
    def ambiguous(self) -> int:
        return self.broken_off.total()

    def lines(self) -> list[str]:
        """For a person."""
        before = sum(count for fault, count in self.broken_off.items() if fault in BEFORE)
        return [
            f"SEND_ABSENCE_IS_PROOF={str(self.absence_is_proof).lower()}",
            f"  {self.acked} messages acknowledged, {self.sends} sends taken, {self.kills} workers killed",
            f"  {self.ambiguous} sends broken off: {before} not taken, {self.ambiguous - before} taken",
            f"  sent twice {self.doubled} ({_per_10_000(self.doubled, self.ambiguous)})",
            f"  unconfirmed {self.unconfirmed} ({_per_10_000(self.unconfirmed, self.ambiguous)}),"
            f" of which Twilio had taken {self.unconfirmed_though_listed}",
            f"  settled, told by a callback or the list: {_seconds(self.told)}; by absence: {_seconds(self.absent)}",
            f"  violations of any law: {len(self.violations)}",
            *(f"    {violation}" for violation in self.violations[:20]),
        ]


def _per_10_000(found: int, of: int) -> str:
    if not of:
        return "of none"
    bound = "" if found else f", below {30_000 / of:.1f} with 95 % confidence"
    return f"{10_000 * found / of:.1f} in 10,000{bound}"


def _seconds(seconds: Sequence[float]) -> str:
    p50, p95, longest = quantiles(seconds)
    return f"{len(seconds)}, p50 {p50} s, p95 {p95} s, max {longest} s"


async def measured(
    children: Nursery,
    ours: Servers,
    directory: Path,
    *,
    absence_is_proof: bool,
    seed: int,
    seconds: float,
    contacts: int,
    between_kills: float,
) -> Figure:
    """One system, so long."""
    allowed = Allowed(fates=frozenset({Fate.ANSWERED} | (set() if absence_is_proof else {Fate.UNCONFIRMED})), lost_statuses=True)
    settings = {"SEND_ABSENCE_IS_PROOF": str(absence_is_proof).lower()}
    trial, random = Trial(children, ours, directory), Random(seed)  # noqa: S311 - repeatable, not secret
    async with ours.stores() as stores:
        system = System(children, stores, directory / f"absence-{absence_is_proof}", settings=settings, seed=seed)
        async with system.running():
            await system.twilio.break_down(**PLAN, seed=seed)
            until = time.monotonic() + seconds
            kills, *_ = await asyncio.gather(
                _kill(system, Random(random.random()), until, between_kills),  # noqa: S311
                _write(system, [Random(random.random()) for _ in range(contacts)], until),  # noqa: S311
            )
            await system.twilio.break_down()
            history = await trial.settled(system, allowed, SETTLED_SECONDS)
            found = figure_of(history, await system.twilio.tally(), allowed, kills)
            (system.directory / "log.txt").write_text("\n".join(each.value.decode(errors="replace") for each in history.records))
            (system.directory / "rows.json").write_text(json.dumps(history.tables, indent=1, default=str))
    return replace(found, absence_is_proof=absence_is_proof)


async def _kill(system: System, random: Random, until: float, between: float) -> int:
    for kills in itertools.count():
        await asyncio.sleep(random.uniform(between / 2, between * 3 / 2))
        if time.monotonic() >= until:
            return kills
        system.kill(random.choice(system.handler_names))
    raise AssertionError


async def _write(system: System, randoms: Sequence[Random], until: float) -> None:
    """Each contact a message, and when it is answered, or given up, the next; all of them are different."""
    waiting: set[str] = set()

    async def look() -> None:
        while time.monotonic() < until:
            found = {row["thread"].partition("|")[2] for row in await system.database.fetch(WAITING)}
            waiting.clear()
            waiting.update(found)
            await asyncio.sleep(LOOK_SECONDS)

    async def write(number: int, random: Random) -> None:
        address, messages = f"whatsapp:+55119{number:08d}", itertools.count(1)
        await asyncio.sleep(random.uniform(0, BETWEEN_MESSAGES[1]))
        while time.monotonic() < until:
            if address not in waiting:
                await system.twilio.try_to_write(address, f"q{number:04d}-{next(messages):04d}")
            await asyncio.sleep(random.uniform(*BETWEEN_MESSAGES))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look())
        for number, random in enumerate(randoms):
            tasks.create_task(write(number, random))


def figure_of(history: History, tally: dict[str, int], allowed: Allowed, kills: int) -> Figure:
    """Counts by the witness outside wherever it knows."""
    broken_off = Counter({fault: tally.get(f"create.{fault}", 0) for fault in (*BEFORE, *AFTER)})
    taken = {message.attempt for message in history.accepted}
    parts: Counter[tuple[str, int]] = Counter()
    for message in history.accepted:
        attempt = history.attempts.get(message.attempt)
        if attempt and history.statuses.get(message.sid) not in UNDELIVERED:
            parts[attempt.reply, attempt.part] += 1
    unproven = {SendDisproved.name, SendUnconfirmed.name}
    unconfirmed = [name for name, attempt in history.attempts.items() if attempt.outcome == SendUnconfirmed.name]
    faulted = {message.attempt for message in history.accepted if message.fault in AFTER}
    return Figure(
        absence_is_proof=True,
        acked=sum(message.is_acked for message in history.written),
        sends=len(history.accepted),
        broken_off=broken_off,
        kills=kills,
        doubled=sum(count - 1 for count in parts.values()),
        unconfirmed=len(unconfirmed),
        unconfirmed_though_listed=sum(name in taken for name in unconfirmed),
        told=[each.seconds for name, each in history.attempts.items() if name in faulted and each.seconds is not None],
        absent=[each.seconds for each in history.attempts.values() if each.outcome in unproven and each.seconds is not None],
        violations=violations(history, allowed),
    )


def main(argv: Sequence[str] | None = None, tell: Callable[[str], object] = sys.stdout.write) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.harness.ambiguous",
        description="Count what comes of sends that Twilio broke off without an answer. Exit code 1 if any law was violated.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="that contacts write, for both meanings of absence together (8)"
    )
    parser.add_argument("--contacts", type=int, default=100, help="who write at the same time (100)")
    parser.add_argument("--between-kills", type=float, default=BETWEEN_KILLS, metavar="SECONDS", help="of a worker (30)")
    parser.add_argument("--directory", type=Path, help="where histories are kept; a new temporary folder otherwise")
    given = parser.parse_args(argv)
    directory = given.directory or Path(tempfile.mkdtemp(prefix="prosa-ambiguous-"))
    directory.mkdir(parents=True, exist_ok=True)

    async def run(ours: Servers) -> list[Figure]:
        figures = []
        async with nursery(directory / "zygote.txt") as children:
            for absence_is_proof in (True, False):
                figures.append(
                    await measured(
                        children,
                        ours,
                        directory,
                        absence_is_proof=absence_is_proof,
                        seed=given.seed,
                        seconds=given.minutes * 30,
                        contacts=given.contacts,
                        between_kills=given.between_kills,
                    )
                )
                tell("\n".join(figures[-1].lines()) + "\n")
        return figures

    with servers(directory / "servers") as ours:
        figures = asyncio.run(run(ours))
    together = sum(figure.ambiguous for figure in figures)
    doubled = sum(figure.doubled for figure in figures)
    tell(f"together: {doubled} of {together} sent twice, {_per_10_000(doubled, together)}; seed {given.seed}, {directory}\n")
    return 1 if any(figure.violations for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
