"""Whether the read model is what the log says: every event folded again, one at a time, by nothing but the pure fold."""

from tests.harness.history import History
from tests.projections.read_model import Expected, differences


def misread(history: History) -> list[str]:
    """Where the archive or the rows say something else than the log up to each checkpoint."""
    checkpoints = {row["partition"]: row["position"] for row in history.tables["checkpoints"]}
    epochs = {record.epoch for record in history.records}
    seen = [record for record in history.records if record.position <= checkpoints.get(record.partition, 0)]
    archived = [(row["partition"], row["position"]) for row in history.tables["events"] if row["epoch"] in epochs]
    logged = [(record.partition, record.position) for record in seen]
    told = [f"archive: {place} is not in the log" for place in sorted(set(archived) - set(logged))]
    told += [f"archive: {place} is missing" for place in sorted(set(logged) - set(archived))]
    return told + differences(Expected(partition_count=history.partitions).fold(seen), history.tables)
