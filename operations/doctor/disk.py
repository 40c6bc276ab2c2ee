"""Room for the embedded servers, which write in this directory."""

import shutil
from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System

GIGABYTE = 1024**3
LITTLE, NEXT_TO_NOTHING = 1 * GIGABYTE, GIGABYTE // 10


async def disk(system: System) -> Sequence[Finding]:
    if system.directory is None:
        return []
    free = shutil.disk_usage(system.directory).free
    if free >= LITTLE:
        return [well(Group.SAFE, f"The embedded servers have {free / GIGABYTE:.0f} GB of disk left.")]
    found = error if free < NEXT_TO_NOTHING else warning
    sentence = f"The embedded servers have {free / GIGABYTE:.1f} GB of disk left."
    return [found(Group.SAFE, sentence, f"make room on the disk of {system.directory}")]
