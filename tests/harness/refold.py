"""Whether the read model is what the log says: every event folded again, one at a time, by nothing but the pure fold."""

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

from streams.log import Record
from streams.partitions import milliseconds_of_position
from tests.harness.history import History
from tests.projections.read_model import Expected, differences


def misread(history: History) -> list[str]:
    """Where the archive or the rows say something else than the log up to each checkpoint."""
    checkpoints = {row["partition"]: row["position"] for row in history.tables["checkpoints"]}
    seen = [record for record in history.records if record.position <= checkpoints.get(record.partition, 0)]
    archived = _Archive(history)
    placed = [archived.take(record) for record in seen]
    told = [*archived.told, *archived.left(), *_out_of_order(placed)]
    return told + differences(Expected(partition_count=history.partitions).fold(placed), history.tables)


class _Archive:
    """
    Where each record of the log was archived: at its own place, or in an earlier generation of which a repair made this one.

    Each is taken once; `told` are those that were not there. An append that was repeated after a lost answer is there twice, in
    the same bytes: these places are taken in their order.
    """

    def __init__(self, history: History) -> None:
        self._newest = max((record.epoch for record in history.records), default=0)
        self._here: set[tuple[int, int, bytes]] = set()
        self._earlier: defaultdict[tuple[int, bytes], deque[tuple[int, int]]] = defaultdict(deque)
        self.told: list[str] = []
        for row in sorted(history.tables["events"], key=lambda row: (row["epoch"], row["position"])):
            if row["epoch"] < self._newest:
                self._earlier[row["partition"], row["digest"]].append((row["epoch"], row["position"]))
            else:
                self._here.add((row["partition"], row["position"], row["digest"]))

    def take(self, record: Record) -> Record:
        """The record as it was folded; as it is where it was not archived."""
        digest = sha256(record.value).digest()
        here = (record.partition, record.position, digest)
        if here in self._here:
            self._here.remove(here)
        elif earlier := self._earlier.get((record.partition, digest)):
            epoch, position = earlier.popleft()
            appended_at_ms = record.appended_at_ms if position == record.position else milliseconds_of_position(position)
            return replace(record, epoch=epoch, position=position, appended_at_ms=appended_at_ms)
        else:
            self.told.append(f"archive: {record.partition}/{record.position} is missing")
        return record

    def left(self) -> Iterator[str]:
        """What the log has not."""
        for partition, position, _ in sorted(self._here):
            yield f"archive: {partition}/{position} is not in the log"
        left = [(partition, *place) for (partition, _), places in self._earlier.items() for place in places]
        for partition, epoch, position in sorted(left):
            yield f"archive: {partition}/{position} of generation {epoch} is not in the log"


def _out_of_order(placed: list[Record]) -> Iterator[str]:
    """A new generation must have the order in which the earlier ones were folded."""
    last: dict[int, tuple[int, int]] = {}
    for record in placed:
        place = record.epoch, record.position
        if place < last.get(record.partition, (0, 0)):
            yield f"archive: {record.partition}/{record.position} was folded later than what stands before it in the log"
        last[record.partition] = place
