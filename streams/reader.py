"""Reading the partitions of a consumer: one blocking read for all of them, which ends early when their set changes."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from streams.log import EventLog, Record

T = TypeVar("T")

WAIT_SECONDS = 1.0


class Reader:
    """Used by one task; `interrupt` may come from anywhere in its loop."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiting: asyncio.Task[Any] | None = None
        self._read_at = -math.inf
        self._unread_since: dict[int, int] = {}

    @property
    def seconds_since_read(self) -> float:
        """
        The age of the last read that the log answered: one that names no partition asks nothing.

        Of partitions that were gained since, the time since then; infinite before anything was ever gained or read.
        """
        return time.monotonic() - self._read_at

    def begin(self) -> None:
        """There is something to read again: what was not read before is no silence."""
        self._read_at = time.monotonic()

    async def read(self, after: Mapping[int, int], limit: int) -> Sequence[Record]:
        """The next entries, or none after a second or an interruption. Raises `LogUnavailable`."""
        records = await self._until_interrupted(self._log.read(after, limit=limit, wait_seconds=WAIT_SECONDS))
        if records is None:
            return []
        if after:
            self._read_at = time.monotonic()
            self._note_unread(after, records, limit)
        return records

    async def pause(self, seconds: float) -> None:
        """Wait before the next try, or until an interruption: a partition that was gained tells that the log answers again."""
        await self._until_interrupted(asyncio.sleep(seconds))

    async def _until_interrupted(self, wait: Coroutine[Any, Any, T]) -> T | None:
        waiting: asyncio.Task[T] = asyncio.create_task(wait)
        self._waiting = waiting
        try:
            return await waiting
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            return None
        finally:
            self._waiting = None

    def unread_since_ms(self, partition: int) -> int | None:
        """An append time that no entry still unread precedes; None where the last read came to the end of the partition."""
        return self._unread_since.get(partition)

    def _note_unread(self, after: Mapping[int, int], records: Sequence[Record], limit: int) -> None:
        """Where as much was found as was asked for, there may be more."""
        found = Counter(record.partition for record in records)
        last = {record.partition: record.appended_at_ms for record in records}
        for partition in after:
            if found[partition] >= limit:
                self._unread_since[partition] = last[partition]
            else:
                self._unread_since.pop(partition, None)

    def interrupt(self) -> None:
        """End the blocking read, or the pause, so that the next read begins with what has changed."""
        if self._waiting:
            self._waiting.cancel()


def is_being_cancelled() -> bool:
    """Whether a `CancelledError` is meant for the task that sees it; else something it awaited was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
