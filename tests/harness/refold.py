"""Whether the read model is what the log says: every event folded again, one at a time, by nothing but the pure fold."""

from hashlib import sha256

from tests.harness.history import History
from tests.projections.read_model import Expected, differences


def misread(history: History) -> list[str]:
    """Where the archive or the rows say something else than the log up to each checkpoint."""
    checkpoints = {row["partition"]: row["position"] for row in history.tables["checkpoints"]}
    epochs = {record.epoch for record in history.records}
    seen = [record for record in history.records if record.position <= checkpoints.get(record.partition, 0)]
    archive = (row for row in history.tables["events"] if row["epoch"] in epochs)
    archived = {(row["partition"], row["position"], row["digest"]) for row in archive}
    logged = {(record.partition, record.position, sha256(record.value).digest()) for record in seen}
    told = [f"archive: {partition}/{position} is not in the log" for partition, position, _ in sorted(archived - logged)]
    told += [f"archive: {partition}/{position} is missing" for partition, position, _ in sorted(logged - archived)]
    return told + differences(Expected(partition_count=history.partitions).fold(seen), history.tables)
