"""What the fold changed, as rows for the statements in `sql/`. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from pydantic_core import to_json

from projections.folding import Archived, Fold, Row, Skipped, deadline_ms
from projections.state import Change, Conversation, DeadLetter, Message, Part, PartStatus, Reply, ReplyStatus, ThreadState

Columns: TypeAlias = tuple[Any, ...]

_THREAD = TypeAdapter(ThreadState)
_PARTS = TypeAdapter(tuple[Part, ...])


def dump_thread(state: ThreadState) -> bytes:
    """A thread's state as it is stored."""
    return _THREAD.dump_json(state, exclude={"known", "changes"}, exclude_defaults=True)


def load_thread(value: str | bytes) -> ThreadState:
    """A thread's state as it was stored."""
    return _THREAD.validate_json(value)


@dataclass(frozen=True, slots=True)
class FoldRows:
    """All that a batch writes, except its checkpoints; `upserts` are statements with their rows."""

    events: list[Columns]
    skipped: list[Columns]
    upserts: list[tuple[str, list[Columns]]]


def rows_of(fold: Fold) -> FoldRows:
    """
    The rows that a fold changed.

    Everybody writes them in one order, so that two projectors never wait for each other in a circle.
    """
    threads = [_thread_row(fold, thread) for thread in sorted(fold.touched)]
    return FoldRows(
        events=[_event_row(archived) for archived in fold.archived],
        skipped=[_skipped_row(skipped) for skipped in fold.skipped],
        upserts=[("write_threads", threads), *_change_rows(fold.rows)],
    )


def _event_row(archived: Archived) -> Columns:
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


def _skipped_row(skipped: Skipped) -> Columns:
    record = skipped.record
    return record.epoch, record.partition, record.position, skipped.thread, skipped.error, record.value


def _thread_row(fold: Fold, thread: str) -> Columns:
    state = fold.threads[thread]
    sends = [reply.at_ms for reply in state.replies if _awaits_send(reply)]
    return (
        thread,
        fold.partition_of_thread[thread],
        state.owner,
        dump_thread(state).decode(),
        deadline_ms(state),
        state.unanswered[0].at_ms if state.unanswered and state.ai_may_answer else None,
        min(sends, default=None),
    )


def _change_rows(rows: Mapping[tuple[type[Change], str], Row]) -> Iterable[tuple[str, list[Columns]]]:
    for kind, (statement, columns_of) in _STATEMENTS.items():
        keys = sorted(key for changed, key in rows if changed is kind)
        yield statement, [columns_of(rows[kind, key].change, rows[kind, key]) for key in keys]


def _conversation_row(conversation: Conversation, row: Row) -> Columns:
    return (
        conversation.id,
        row.owner,
        row.thread,
        row.record.partition,
        conversation.status,
        conversation.closed_by,
        conversation.opened_at_ms,
        conversation.last_activity_at_ms,
        conversation.next_deadline_at_ms,
        conversation.ended_at_ms,
        conversation.taken_by,
        conversation.previous_conversation_id,
    )


def _message_row(message: Message, row: Row) -> Columns:
    return (
        message.sid,
        row.owner,
        row.thread,
        message.conversation_id,
        message.direction,
        message.kind,
        message.body,
        message.status,
        message.error_code,
        message.at_ms,
        message.profile_name,
        message.choice,
        to_json(message.media).decode(),
        message.event,
        message.reply_id,
        message.part,
        message.attempt,
        row.record.epoch,
        row.record.position,
    )


def _reply_row(reply: Reply, row: Row) -> Columns:
    return (
        reply.id,
        row.owner,
        row.thread,
        reply.conversation_id,
        reply.kind,
        reply.status,
        reply.event,
        reply.at_ms,
        to_json([message.event for message in reply.covers]).decode(),
        _PARTS.dump_json(reply.parts).decode(),
        reply.closes,
        reply.hands_off,
        reply.model,
        reply.by,
    )


def _dead_letter_row(letter: DeadLetter, row: Row) -> Columns:
    return (
        letter.event,
        letter.group,
        row.owner,
        row.thread,
        letter.conversation_id,
        letter.status,
        letter.error,
        letter.fingerprint,
        letter.attempts,
        letter.at_ms,
    )


_STATEMENTS: Mapping[type[Change], tuple[str, Callable[[Any, Row], Columns]]] = {
    Conversation: ("write_conversations", _conversation_row),
    Message: ("write_messages", _message_row),
    Reply: ("write_replies", _reply_row),
    DeadLetter: ("write_dead_letters", _dead_letter_row),
}


def _awaits_send(reply: Reply) -> bool:
    """Something of it is to be sent, or a late callback told what nobody knew."""
    if reply.status is ReplyStatus.ACCEPTED:
        return True
    return any(
        part.status is PartStatus.UNCONFIRMED and any(attempt.proof_sid for attempt in part.attempts) for part in reply.parts
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
