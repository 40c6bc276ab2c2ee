"""The log must hold what was consumed of it: whoever goes on from a place that it lost would pass over what is new."""

from collections.abc import Mapping

from streams.errors import CheckpointAhead
from streams.log import Consumed, EventLog

REMEDY = "stop the handlers and run prosa repair (docs/operations.md: Redis lost its tail, or everything)"


async def require_agreement(log: EventLog, consumed: Mapping[int, Consumed]) -> None:
    """Raise `CheckpointAhead` where the log lost its tail, or is another; and what `EventLog.disagreements` raises."""
    require_none(await log.disagreements(consumed))


def require_none(disagreements: Mapping[int, str]) -> None:
    """Raise `CheckpointAhead` where there is any."""
    if disagreements:
        raise CheckpointAhead(f"{told(disagreements)}; {REMEDY}")


def told(disagreements: Mapping[int, str]) -> str:
    """The first of them, and how many there are."""
    partition, sentence = min(disagreements.items())
    others = f" (and {len(disagreements) - 1} more)" if len(disagreements) > 1 else ""
    return f"partition {partition}{others}: {sentence}"
