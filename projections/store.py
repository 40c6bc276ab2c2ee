"""Rows to states and states to rows; every statement stands in `sql/`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from projections.database import Connection, sql
from projections.folding import Archived, Fold, Row, Skipped
from projections.state import (
    Conversation,
    DeadLetter,
    Message,
    PartitionState,
    PartStatus,
    Reply,
    ReplyStatus,
    ThreadState,
)

_THREAD = TypeAdapter(ThreadState)
_PARTITION = TypeAdapter(PartitionState)
_MEDIA: TypeAdapter[tuple[dict[str, str], ...]] = TypeAdapter(tuple[dict[str, str], ...])

_EVENT_COLUMNS = (
    "epoch",
    "partition",
    "position",
    "id",
    "type",
    "subject",
    "owner",
    "correlation_id",
    "appended_at",
    "log_time",
    "event",
    "digest",
    "chain",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a partition is projected, and the state of the partition there."""

    partition: int
    epoch: int
    position: int
    state: PartitionState
    chain: bytes


def dump_thread(state: ThreadState) -> bytes:
    """A thread's state as it is stored."""
    return _THREAD.dump_json(state, exclude={"known", "changes"}, exclude_defaults=True)


def load_thread(value: str | bytes) -> ThreadState:
    """A thread's state as it was stored."""
    return _THREAD.validate_json(value)


async def create_checkpoints(connection: Connection, partitions: Iterable[int], epoch: int) -> None:
    """Put a checkpoint before the first entry of each partition that has none."""
    first = _PARTITION.dump_json(PartitionState()).decode()
    await connection.execute(sql("create_checkpoints"), sorted(partitions), epoch, first)


async def load_checkpoints(connection: Connection, partitions: Iterable[int]) -> dict[int, Checkpoint]:
    """The checkpoints of these partitions; one that was never projected has none."""
    rows = await connection.fetch(sql("load_checkpoints"), sorted(partitions))
    return {
        row["partition"]: Checkpoint(
            row["partition"], row["epoch"], row["position"], _PARTITION.validate_json(row["state"]), row["chain"]
        )
        for row in rows
    }


async def load_threads(connection: Connection, threads: Iterable[str]) -> dict[str, ThreadState]:
    """The stored states of these threads; a thread that is new is missing."""
    rows = await connection.fetch(sql("load_threads"), list(threads))
    return {row["thread"]: load_thread(row["state"]) for row in rows}


async def load_due_threads(connection: Connection, partition: int, log_time_ms: int) -> dict[str, ThreadState]:
    """The threads of a partition whose next deadline has come."""
    rows = await connection.fetch(sql("load_due_threads"), partition, log_time_ms)
    return {row["thread"]: load_thread(row["state"]) for row in rows}


async def load_messages(connection: Connection, sids: Iterable[str]) -> dict[str, dict[str, Message]]:
    """Of these messages those that are known, by thread and sid."""
    found: dict[str, dict[str, Message]] = {}
    for row in await connection.fetch(sql("load_messages"), list(sids)):
        fields = dict(row)
        thread = fields.pop("thread")
        fields["media"] = _MEDIA.validate_json(fields["media"])
        found.setdefault(thread, {})[row["sid"]] = Message(**fields)
    return found


async def write_fold(connection: Connection, fold: Fold) -> None:
    """Write everything that a batch changed, except its checkpoints."""
    await connection.copy_records_to_table(
        "events", records=[_event_row(archived) for archived in fold.archived], columns=_EVENT_COLUMNS
    )
    for skipped in fold.skipped:
        await connection.execute(sql("write_skipped_event"), *_skipped_row(skipped))
    await _write(connection, "write_threads", [_thread_row(fold, thread) for thread in sorted(fold.touched)])
    for model, statement in _STATEMENTS.items():
        rows = [_change_row(row) for (kind, _), row in sorted(fold.rows.items(), key=_by_key) if kind is model]
        await _write(connection, statement, rows)


async def move_checkpoint(connection: Connection, seen: Checkpoint, moved: Checkpoint) -> bool:
    """Move a checkpoint from the place last seen; False where it does not stand there any more."""
    status: str = await connection.execute(
        sql("move_checkpoint"),
        seen.partition,
        seen.epoch,
        seen.position,
        moved.position,
        moved.state.appended_at_ms,
        moved.state.offset_ms,
        _PARTITION.dump_json(moved.state).decode(),
        moved.chain,
    )
    return status == "UPDATE 1"


_STATEMENTS: Mapping[type, str] = {
    Conversation: "write_conversations",
    Message: "write_messages",
    Reply: "write_replies",
    DeadLetter: "write_dead_letters",
}


def _by_key(item: tuple[tuple[type, str], Row]) -> tuple[str, str]:
    """Everybody writes rows in one order, so that two projectors never wait for each other in a circle."""
    (kind, identity), _ = item
    return kind.__name__, identity


async def _write(connection: Connection, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        await connection.execute(sql(statement), to_json(rows).decode())


def _thread_row(fold: Fold, thread: str) -> dict[str, Any]:
    state = fold.threads[thread]
    sends = [reply.at_ms for reply in state.replies if _awaits_send(reply)]
    return {
        "thread": thread,
        "partition": fold.partition_of_thread[thread],
        "owner": state.owner,
        "state": _THREAD.dump_python(state, mode="json", exclude={"known", "changes"}, exclude_defaults=True),
        "next_deadline_at_ms": state.conversation.next_deadline_at_ms if state.conversation else None,
        "awaits_answer_since_ms": state.unanswered[0].at_ms if state.unanswered and state.ai_may_answer else None,
        "awaits_send_since_ms": min(sends, default=None),
    }


def _awaits_send(reply: Reply) -> bool:
    """Something of it is to be sent, or a late callback told what nobody knew."""
    if reply.status is ReplyStatus.ACCEPTED:
        return True
    return any(
        part.status is PartStatus.UNCONFIRMED and any(attempt.proof_sid for attempt in part.attempts) for part in reply.parts
    )


def _change_row(row: Row) -> dict[str, Any]:
    fields = asdict(row.change)
    if isinstance(row.change, Reply):
        fields["answers"] = [message.event for message in row.change.covers]
    common = {"thread": row.thread.thread, "owner": row.thread.owner}
    place = {"epoch": row.record.epoch, "partition": row.record.partition, "position": row.record.position}
    return {**place, **common, **fields}


def _event_row(archived: Archived) -> tuple[Any, ...]:
    record, event = archived.entry.record, archived.entry.event
    return (
        record.epoch,
        record.partition,
        record.position,
        event.id if event else None,
        event.type if event else None,
        event.subject if event else None,
        event.owner if event else None,
        event.correlation_id if event else None,
        _time(record.appended_at_ms),
        _time(archived.log_time_ms),
        record.value.decode() if event else None,
        archived.digest,
        archived.chain,
    )


def _skipped_row(skipped: Skipped) -> tuple[Any, ...]:
    record = skipped.record
    return record.epoch, record.partition, record.position, skipped.thread, skipped.error, record.value


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
