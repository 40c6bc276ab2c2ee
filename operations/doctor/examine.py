"""Every check at once, each with its own deadline: one that hangs is a finding and holds nobody up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from operations.doctor.findings import Finding, Group, Severity, error, worst
from operations.doctor.system import System
from streams.errors import ProsaError

DEADLINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """
    One look at the system.

    It is left out where a setting that it `needs` could not be read, and where a check it comes `after` found an error or
    something missing: what follows from that would only be noise.
    """

    name: str
    look: Callable[[System], Awaitable[Sequence[Finding]]]
    needs: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    seconds: float | None = None
    """Instead of the deadline of all."""


async def examine(system: System, checks: Sequence[Check], *, seconds: float = DEADLINE_SECONDS) -> Sequence[tuple[str, Finding]]:
    """Every finding with the name of its check, in the order of the checks."""
    unreadable = {problem.name for problem in system.problems}
    looks: dict[str, asyncio.Task[Sequence[Finding] | None]] = {}
    async with asyncio.TaskGroup() as tasks:
        for check in checks:
            if not check.needs & unreadable:
                looks[check.name] = tasks.create_task(_look(check, system, looks, check.seconds or seconds))
    return [(name, finding) for name, look in looks.items() for finding in look.result() or ()]


async def _look(
    check: Check, system: System, looks: Mapping[str, "asyncio.Task[Sequence[Finding] | None]"], seconds: float
) -> Sequence[Finding] | None:
    """The findings; None where the check is left out."""
    for name in check.after:
        if name not in looks or _is_in_the_way(await looks[name]):
            return None
    try:
        async with asyncio.timeout(seconds):
            return await check.look(system)
    except TimeoutError:
        return [
            error(Group.REACHABLE, f"{check.name}: no answer within {seconds:g} s.", "look whether the server hangs; try again")
        ]
    except ProsaError as failure:
        return [error(Group.REACHABLE, f"{check.name}: {failure}.", "put that right, and try again")]


def _is_in_the_way(findings: Sequence[Finding] | None) -> bool:
    if findings is None:
        return True
    missing = [finding for finding in findings if finding.group is Group.MISSING]
    return worst(findings) is Severity.ERROR or worst(missing) is not Severity.OK
