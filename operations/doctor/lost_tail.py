"""Whether the log still holds what the read model has folded of it."""

from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, well
from operations.doctor.system import System
from projections.agreement import disagreements_with_log
from streams.agreement import told

REMEDY = "stop the handlers; prosa repair --dry-run shows what is lost, prosa repair brings it back"


async def lost_tail(system: System) -> Sequence[Finding]:
    """Also of a log that is empty: it may have been emptied."""
    disagreements = await disagreements_with_log(system.database, system.log)
    if disagreements:
        return [error(Group.SAFE, f"The log lost what the read model has folded of it: {told(disagreements)}.", REMEDY)]
    return [well(Group.SAFE, "The log holds all that the read model has folded of it.")]
