"""What a batch changed, in log lines: conversations that opened, fell silent or ended, time that was let pass, and poison."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from projections.folding import Fold, Skipped
from projections.state import Conversation, PartitionState, Status, ThreadState
from streams.envelope import decode
from streams.errors import NewerEvent, UndecodableEvent
from telemetry import log, thread_hash

Ids: TypeAlias = dict[str, Any]

MANY = 5
"""More changes of one kind in one batch are one line with their number."""

FIRST = 0
"""An advance of the clock stands in every partition; this one tells for all."""
MINUTE_MS = 60_000
MINUTES_OF_TWO_HOURS = 120

_TOLD = frozenset({Status.IDLE, Status.HANDOFF, Status.EXPIRED, Status.CLOSED})
"""The others follow from a message or a reply, which is told."""


class Story:
    """
    What is to be told of a batch once it is committed; `note` each part of it as it is folded, then `tell`.

    Of many changes of one kind only their number is kept.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._named: dict[str, list[Ids]] = defaultdict(list)
        self._skipped: list[Skipped] = []
        self._advanced: dict[int, int] = {}

    def note(self, states: Mapping[str, ThreadState], partitions: Mapping[int, PartitionState], fold: Fold) -> None:
        """Compare what a fold began with to what it came to; a change that was changed back within it is not seen."""
        moved = {number: fold.partitions[number].offset_ms - state.offset_ms for number, state in partitions.items()}
        self._advanced |= {number: offset_ms for number, offset_ms in moved.items() if offset_ms > 0}
        for thread in fold.touched:
            for what, ids in _changes(states.get(thread), fold.threads[thread]):
                self._counts[what] += 1
                if self._counts[what] <= MANY:
                    place = {"thread_hash": thread_hash(thread), "partition": fold.partition_of_thread[thread]}
                    self._named[what].append({**ids, **place})
        self._skipped += fold.skipped

    def tell(self) -> None:
        """Write the lines."""
        if FIRST in self._advanced:
            log.info("clock.advanced", by=_length(self._advanced[FIRST] / MINUTE_MS))
        for what, count in self._counts.items():
            if count > MANY:
                log.info(what.replace("conversation", "conversations"), count=count)
            else:
                for ids in self._named[what]:
                    log.info(what, **ids)
        for skipped in self._skipped:
            _tell_skipped(skipped)


def _changes(before: ThreadState | None, after: ThreadState) -> Iterator[tuple[str, Ids]]:
    old, new = before.conversation if before else None, after.conversation
    if new is None:
        return
    ids = {"conversation_id": new.id, "owner": new.owner}
    if old is None or old.id != new.id:
        yield "conversation.opened", ids
        old = None
    if new.status is Status.CLOSED and not _is(old, Status.CLOSED):
        yield "conversation.closed", {**ids, "by": str(new.closed_by)}
    elif new.status in _TOLD and not _is(old, new.status):
        yield f"conversation.{'in_handoff' if new.status is Status.HANDOFF else new.status}", ids
    elif _is(old, Status.HANDOFF) and new.is_open and new.status is not Status.HANDOFF:
        yield "conversation.released", ids


def _length(minutes: float) -> str:
    return f"{minutes:g}m" if minutes < MINUTES_OF_TWO_HOURS else f"{minutes / 60:g}h"


def _is(conversation: Conversation | None, status: Status) -> bool:
    return conversation is not None and conversation.status is status


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
