"""Whether every partition has a worker, and how far the groups are behind."""

from collections.abc import Mapping, Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from projections.changes import PROJECTOR, RESPONDER, SENDER
from projections.store import load_checkpoints
from streams.lag import Lag, lag_after, lag_of_group

MANY_EVENTS = 1000
LONG_SECONDS = 300.0
"""Longer than a model may take by default, retries and fallbacks included."""


async def workers(system: System) -> Sequence[Finding]:
    every = set(range(system.settings.stream_partitions))
    holders = await system.log.holders()
    if idle := sorted(every - holders.keys()):
        which = "no partition" if len(idle) == len(every) else f"all partitions but {', '.join(map(str, idle))}"
        sentence = "No worker serves any partition." if len(idle) == len(every) else f"Workers serve {which}."
        remedy = f"start one: faststream run handlers:app; after a crash wait {system.settings.lease_seconds:g} s for the leases"
        return [error(Group.MISSING, sentence, remedy)]
    members = len({holder.member for holder in holders.values()})
    return [well(Group.REACHABLE, f"All {len(every)} partitions are served, by {members} worker{'s' if members > 1 else ''}.")]


async def lag(system: System) -> Sequence[Finding]:
    lags = {group: await lag_of_group(system.log, group) for group in (RESPONDER, SENDER)}
    found = [finding for group, of_group in lags.items() for finding in _behind(group, of_group)]
    return found or [well(Group.REACHABLE, "Responder and sender are up to date.")]


async def projector_lag(system: System) -> Sequence[Finding]:
    async with system.database.transaction(readonly=True) as connection:
        checkpoints = await load_checkpoints(connection, range(system.settings.stream_partitions))
    positions = dict.fromkeys(range(system.settings.stream_partitions), 0)
    positions |= {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}
    found = _behind(PROJECTOR, await lag_after(system.log, positions))
    return found or [well(Group.REACHABLE, "The read model is up to date with the log.")]


def _behind(group: str, lags: Mapping[int, Lag]) -> list[Finding]:
    """Nothing where no event waits; a little is usual, and told without a warning."""
    events = sum(lag.events or 0 for lag in lags.values())
    seconds = max((lag.seconds for lag in lags.values()), default=0.0)
    counted = "" if any(lag.seconds and lag.events is None for lag in lags.values()) else f"{_events(events)} "
    sentence = f"The {group} is {counted}behind; the oldest has waited {seconds:.0f} s."
    if events <= MANY_EVENTS and seconds <= LONG_SECONDS:
        return [well(Group.REACHABLE, sentence)] if seconds else []
    return [warning(Group.REACHABLE, sentence, "prosa status shows where; its log lines say why; more workers help with a flood")]


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"
