"""Whether the log still holds what the projector has folded of it."""

from collections.abc import Iterable, Mapping

from projections.database import Database
from projections.store import Checkpoint, load_checkpoints
from streams.log import Consumed, EventLog


async def disagreements_with_log(database: Database, log: EventLog) -> Mapping[int, str]:
    """
    The partitions that are folded further than the log goes, or from another log, and how that shows.

    Raises `ReadModelUnavailable`, and what `EventLog.disagreements` raises.
    """
    async with database.transaction(readonly=True) as connection:
        checkpoints = await load_checkpoints(connection, range(log.partitions))
    if others := of_other_epochs(checkpoints.values(), log.epoch):
        return others
    return await log.disagreements(consumed_at(checkpoints.values()))


def consumed_at(checkpoints: Iterable[Checkpoint]) -> dict[int, Consumed]:
    """What was read last, as the log compares it."""
    return {checkpoint.partition: Consumed(checkpoint.position, checkpoint.digest) for checkpoint in checkpoints}


def of_other_epochs(checkpoints: Iterable[Checkpoint], epoch: int) -> dict[int, str]:
    """Positions compare within one epoch only: a repair that was not finished, or a server that is older than the read model."""
    return {
        checkpoint.partition: f"the checkpoint is of epoch {checkpoint.epoch}, the log of epoch {epoch}"
        for checkpoint in checkpoints
        if checkpoint.epoch != epoch
    }
