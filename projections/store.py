"""Reading and writing the read model; every statement stands in `sql/`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from pydantic import TypeAdapter

from projections.database import Connection, sql
from projections.rows import Columns, FoldRows, load_thread
from projections.state import Message, PartitionState, ThreadState

_PARTITION = TypeAdapter(PartitionState)
_MEDIA: TypeAdapter[tuple[dict[str, str], ...]] = TypeAdapter(tuple[dict[str, str], ...])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """
    How far a partition is projected, and the state of the partition there.

    `digest` is that of the entry at this position; None where there is none, or the archive does not have it any more.
    """

    partition: int
    epoch: int
    position: int
    state: PartitionState
    chain: bytes
    digest: bytes | None = None


async def create_checkpoints(connection: Connection, partitions: Iterable[int], epoch: int) -> None:
    """Put a checkpoint before the first entry of each partition that has none."""
    first = _PARTITION.dump_json(PartitionState()).decode()
    await connection.execute(sql("create_checkpoints"), sorted(partitions), epoch, first)


async def load_checkpoints(connection: Connection, partitions: Iterable[int]) -> dict[int, Checkpoint]:
    """The checkpoints of these partitions; one that was never projected has none."""
    rows = await connection.fetch(sql("load_checkpoints"), sorted(partitions))
    return {
        row["partition"]: Checkpoint(
            row["partition"],
            row["epoch"],
            row["position"],
            _PARTITION.validate_json(row["state"]),
            row["chain"],
            row["digest"],
        )
        for row in rows
    }


async def end_silent_holders(connection: Connection, partitions: Iterable[int], *, silence_seconds: float) -> int:
    """
    End whoever holds one of these checkpoints and has left Postgres waiting for so long; returns how many that were.

    Only the owner of the partitions may ask for it: whoever held them before has lost them, and could commit nothing anyway.
    """
    return len(await connection.fetch(sql("end_silent_holders"), sorted(partitions), silence_seconds))


async def lock_checkpoints(
    connection: Connection, partitions: Iterable[int], *, silence_seconds: float, statement_seconds: float
) -> dict[int, tuple[int, int]]:
    """
    Epoch and position of these checkpoints, which nobody else moves before this transaction ends.

    Postgres ends the transaction when it hears nothing for `silence_seconds`: a paused holder must not stop the next owner.
    """
    silence, statement = _milliseconds(silence_seconds), _milliseconds(statement_seconds)
    rows = await connection.fetch(sql("lock_checkpoints"), sorted(partitions), silence, statement)
    return {row["partition"]: (row["epoch"], row["position"]) for row in rows}


async def move_checkpoints(connection: Connection, moved: Iterable[Checkpoint]) -> None:
    """Move checkpoints that this transaction has locked."""
    rows = [
        (each.partition, each.position, each.state.appended_at_ms, each.state.offset_ms, _dumped(each.state), each.chain)
        for each in moved
    ]
    await _write(connection, "move_checkpoints", rows)


async def load_threads(connection: Connection, threads: Iterable[str]) -> dict[str, ThreadState]:
    """The stored states of these threads; a thread that is new is missing."""
    rows = await connection.fetch(sql("load_threads"), list(threads))
    return {row["thread"]: load_thread(row["state"]) for row in rows}


async def due_threads(
    connection: Connection, partition: int, log_time_ms: int, *, apart_from: Iterable[str], at_once: int
) -> AsyncIterator[dict[str, ThreadState]]:
    """
    The threads of a partition whose next deadline had come when this was asked, the longest due first, some at once.

    What is written meanwhile changes nothing of it.
    """
    cursor = await connection.cursor(sql("load_due_threads"), partition, log_time_ms, list(apart_from))
    while rows := await cursor.fetch(at_once):
        yield {row["thread"]: load_thread(row["state"]) for row in rows}


async def load_messages(connection: Connection, sids: Iterable[str]) -> dict[str, Message]:
    """Of these messages those that are known, by sid."""
    return {row["sid"]: _message(row) for row in await connection.fetch(sql("load_messages"), list(sids))}


async def write_rows(connection: Connection, rows: FoldRows) -> None:
    """Write everything that a batch changed, except its checkpoints."""
    await _write(connection, "write_events", rows.events)
    for skipped in rows.skipped:
        await connection.execute(sql("write_skipped_event"), *skipped)
    for statement, upserted in rows.upserts:
        await _write(connection, statement, upserted)


async def _write(connection: Connection, statement: str, rows: Sequence[Columns]) -> None:
    """Each column goes as one array."""
    if rows:
        await connection.execute(sql(statement), *map(list, zip(*rows, strict=True)))


def _message(row: asyncpg.Record) -> Message:
    fields: dict[str, Any] = dict(row)
    fields["media"] = _MEDIA.validate_json(fields["media"])
    return Message(**fields)


def _dumped(state: PartitionState) -> str:
    return _PARTITION.dump_json(state).decode()


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
