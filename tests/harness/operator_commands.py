"""What an operator types, each as the real command in a process of its own."""

import json
import time
from datetime import UTC, datetime, timedelta

from streams.errors import EX_CONFIG
from tests.harness.system import System, eventually

COMMAND_SECONDS = 60.0
NOTICED_SECONDS = 20.0
"""How soon workers that run end by themselves where the log has lost something: they look every five seconds, at the latest."""
REPAIRED_SECONDS = 120.0


async def repair_where_needed(system: System, lost_at: float) -> str:
    """
    As the runbook says, after a loss at this moment of the monotonic clock; nothing where log and archive agree. Tells which.

    Workers end by themselves, with the code that no supervisor mends; they are stopped, `prosa repair`, and started.

    Raises `AssertionError` where nobody noticed, or the repair does not end well.
    """
    if await agrees(system):
        return "nothing to repair"

    async def is_noticed() -> bool:
        return any(end.code == EX_CONFIG and end.at > lost_at for end in system.ends)

    await eventually(is_noticed, NOTICED_SECONDS, "a worker ends with exit code 78: the log has lost something")
    for name in system.handler_names:
        await system.stop(name)
    await repair(system)
    for name in system.handler_names:
        await system.start(name)
    assert await agrees(system), "prosa repair --dry-run is content"
    return "repaired"


async def repair(system: System) -> None:
    """`prosa repair`, and again where it did not come to its end."""
    deadline = time.monotonic() + REPAIRED_SECONDS
    while (code := await typed(system, "repair", "--yes"))[0] != 0:
        assert time.monotonic() < deadline, f"prosa repair ends with {code}"


async def agrees(system: System) -> bool:
    """Whether `prosa repair --dry-run` finds nothing."""
    code, said = await typed(system, "repair", "--dry-run", "--json", is_watched=False)
    assert code == 0, said
    return bool(json.loads(said[said.index("{") :])["agrees"])


async def reconcile(system: System) -> None:
    """`prosa reconcile`, until it says that nothing can be missing."""

    async def is_whole() -> bool:
        until = datetime.now(UTC) + timedelta(seconds=2)
        return (await typed(system, "reconcile", "--since", "1h", "--until", f"{until:%Y-%m-%dT%H:%M:%S}"))[0] == 0

    await eventually(is_whole, COMMAND_SECONDS, "prosa reconcile finds all")


async def typed(system: System, *words: str, is_watched: bool = True) -> tuple[int, str]:
    """The command's exit code, and what it said; where it is watched its crash points count, and it may end at one."""
    child, output = await system.type(words, is_watched=is_watched)
    end = await child.wait(COMMAND_SECONDS)
    return end.code, output.read_text(encoding="utf-8", errors="replace")
