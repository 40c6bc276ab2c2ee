"""What came of a trial, and what is kept of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.harness.allowed import Allowed, Fate
from tests.harness.checker import violations
from tests.harness.fates import fates_of
from tests.harness.history import History
from tests.harness.system import System

SETTLED_AFTER_SECONDS = 1.5
"""An attempt whose outcome took longer than the limit of a call was settled by looking for proof."""


@dataclass(frozen=True)
class Verdict:
    """What came of a trial; `recovery_seconds` is the longest wait for an answer after the fault, None where nobody waited."""

    spec: str
    fault: str
    has_happened: bool
    faults: int = 1
    what: str = ""
    messages: int = 0
    acked: int = 0
    sent: int = 0
    unconfirmed: int = 0
    dead_lettered: int = 0
    fetched: int = 0
    """Messages that were acknowledged and lost, and came back from Twilio."""
    recovery_seconds: float | None = None
    is_settling: bool = False
    """Whether a send of unknown outcome had to be settled, which takes a grace of its own."""
    ends: int = 0
    violations: Sequence[str] = field(default=())
    folder: str = ""

    def told(self) -> str:
        """One line."""
        outcome = "VIOLATED" if self.violations else "ok" if self.has_happened else "not reached"
        recovery = "" if self.recovery_seconds is None else f"   waited {self.recovery_seconds:.1f} s"
        settling = ", settling" if self.is_settling else ""
        fetched = f" ({self.fetched} came back from Twilio)" if self.fetched else ""
        return f"{outcome:<11} {self.spec} {self.what}{fetched}{recovery}{settling}".rstrip()


def judged(
    spec: str,
    fault: str,
    history: History,
    allowed: Allowed,
    begun_at: float | None,
    system: System,
    what: str = "",
    faults: int = 1,
) -> Verdict:
    """What the checker says; kept in the system's folder with the whole history. Begun in seconds since 1970."""
    found = violations(history, allowed)
    fates = [fate for each in fates_of(history).values() for fate in each]
    verdict = Verdict(
        spec=spec,
        fault=fault,
        has_happened=begun_at is not None,
        faults=faults if begun_at is not None else 0,
        what=what,
        messages=len(history.written),
        acked=sum(each.is_acked for each in history.written),
        sent=len(history.accepted),
        unconfirmed=fates.count(Fate.UNCONFIRMED),
        dead_lettered=fates.count(Fate.DEAD_LETTERED),
        fetched=sum(each.is_acked and each.sid in history.fetched for each in history.written),
        recovery_seconds=longest_wait(history, begun_at) if begun_at else None,
        is_settling=any(each.seconds is None or each.seconds > SETTLED_AFTER_SECONDS for each in history.attempts.values()),
        ends=len(history.ends),
        violations=tuple(found),
        folder=str(system.directory),
    )
    keep(history, verdict, system.directory)
    return verdict


def longest_wait(history: History, since: float) -> float | None:
    """The longest that anybody waited after this moment (in seconds since 1970) for an answer that came after it."""
    written = {each.contact: [] for each in history.written}  # type: dict[str, list[float]]
    for message in history.written:
        written[message.contact].append(message.at)
    waits = []
    for contact, times in written.items():
        replies = sorted(each.at for each in history.accepted if each.contact == contact)
        for at in times:
            answered = next((reply for reply in replies if reply >= at), None)
            if answered is not None and answered > since:
                waits.append(answered - max(at, since))
    return max(waits, default=None)


def keep(history: History, verdict: Verdict, directory: Path) -> None:
    """What a person wants to see of a trial: the verdict, the log and the rows; the ledger and the outputs lie there already."""
    (directory / "verdict.json").write_text(json.dumps(asdict(verdict), indent=2))
    log = [f"{each.partition} {each.position} {each.value.decode(errors='replace')}" for each in history.records]
    (directory / "log.txt").write_text("\n".join(log))
    (directory / "rows.json").write_text(json.dumps(history.tables, indent=1, default=str))
    (directory / "ends.json").write_text(json.dumps([asdict(each) for each in history.ends], indent=1))
