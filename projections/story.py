"""What a batch changed, in log lines: conversations that opened, fell silent or ended, time that was let pass, and poison."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from projections.folding import Fold, Skipped
from projections.state import Conversation, PartitionState, Status, ThreadState
from streams.envelope import decode
from streams.errors import NewerEvent, UndecodableEvent
from telemetry import log, ranges, thread_hash

Ids: TypeAlias = dict[str, Any]

MANY = 5
"""More changes of one kind in one batch are one line with their number."""

_TOLD = frozenset({Status.IDLE, Status.HANDOFF, Status.EXPIRED, Status.CLOSED})
"""The others follow from a message or a reply, which is told."""


def tell(states: Mapping[str, ThreadState], partitions: Mapping[int, PartitionState], fold: Fold) -> None:
    """Compare what the fold began with to what it came to; a change that was changed back within the batch is not seen."""
    _tell_advance(partitions, fold)
    changes: dict[str, list[tuple[str, Ids]]] = defaultdict(list)
    for thread in fold.touched:
        for what, ids in _changes(states.get(thread), fold.threads[thread]):
            changes[what].append((thread, ids))
    for what, changed in changes.items():
        if len(changed) > MANY:
            log.info(what.replace("conversation", "conversations"), count=len(changed))
        else:
            for thread, ids in changed:
                log.info(what, **ids, thread_hash=thread_hash(thread), partition=fold.partition_of_thread[thread])
    for skipped in fold.skipped:
        _tell_skipped(skipped)


def _changes(before: ThreadState | None, after: ThreadState) -> Iterator[tuple[str, Ids]]:
    old, new = before.conversation if before else None, after.conversation
    if new is None:
        return
    ids = {"conversation_id": new.id, "owner": new.owner}
    if old is None or old.id != new.id:
        yield "conversation opened", ids
        old = None
    if new.status is Status.CLOSED and not _is(old, Status.CLOSED):
        yield "conversation closed", {**ids, "by": str(new.closed_by)}
    elif new.status in _TOLD and not _is(old, new.status):
        yield f"conversation {'in handoff' if new.status is Status.HANDOFF else new.status}", ids
    elif _is(old, Status.HANDOFF) and new.is_open and new.status is not Status.HANDOFF:
        yield "conversation released", ids


def _is(conversation: Conversation | None, status: Status) -> bool:
    return conversation is not None and conversation.status is status


def _tell_advance(before: Mapping[int, PartitionState], fold: Fold) -> None:
    moved = {number: fold.partitions[number].offset_ms - state.offset_ms for number, state in before.items()}
    advanced = [number for number, offset_ms in moved.items() if offset_ms > 0]
    if advanced:
        log.info("clock advanced", minutes=max(moved.values()) / 60_000, partitions=ranges(advanced))


def _tell_skipped(skipped: Skipped) -> None:
    ids: Ids = {"partition": skipped.record.partition, "position": skipped.record.position}
    if skipped.thread:
        ids["thread_hash"] = thread_hash(skipped.thread)
    try:
        event = decode(skipped.record.value)
    except (UndecodableEvent, NewerEvent):
        pass
    else:
        ids |= {"event_id": event.id, "correlation_id": event.correlation_id, "owner": event.owner}
    log.error("event.skipped", **ids, error=skipped.error)
