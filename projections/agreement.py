"""Whether the log still holds what the projector has folded of it."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeAlias

from projections.database import Database
from projections.store import Checkpoint, load_checkpoints
from streams.log import Consumed, EventLog

Compare: TypeAlias = Callable[[Mapping[int, Consumed]], Awaitable[Mapping[int, str]]]
"""Where the log does not hold what was consumed: `EventLog.disagreements`."""


async def disagreements_with_log(database: Database, log: EventLog) -> Mapping[int, str]:
    """
    The partitions that are folded further than the log goes, or from another log, and how that shows.

    Raises `ReadModelUnavailable`, and what `EventLog.disagreements` raises.
    """
    async with database.transaction(readonly=True) as connection:
        checkpoints = await load_checkpoints(connection, range(log.partitions))
    return await disagreements_of(checkpoints.values(), log.epoch, log.disagreements)


async def disagreements_of(checkpoints: Collection[Checkpoint], epoch: int, compare: Compare) -> dict[int, str]:
    """
    The same for these checkpoints and a log of this epoch.

    The log is asked in any case: only where no newer generation has begun is a checkpoint of another epoch a disagreement.
    """
    of_this_epoch = {each.partition: Consumed(each.position, each.digest) for each in checkpoints if each.epoch == epoch}
    return {**await compare(of_this_epoch), **of_other_epochs(checkpoints, epoch)}


def of_other_epochs(checkpoints: Collection[Checkpoint], epoch: int) -> dict[int, str]:
    """Positions compare within one epoch only: a repair that was not finished, or a server that is older than the read model."""
    return {
        checkpoint.partition: f"the checkpoint is of epoch {checkpoint.epoch}, the log of epoch {epoch}"
        for checkpoint in checkpoints
        if checkpoint.epoch != epoch
    }
