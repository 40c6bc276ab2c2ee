"""The independent witness: everything that happened at Twilio and on the phones, in order, never changed."""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO


class Kind(StrEnum):
    MESSAGE_ACCEPTED = "message_accepted"
    """An API client created it and Twilio took it."""
    MESSAGE_REFUSED = "message_refused"
    STATUS_CHANGED = "status_changed"
    MESSAGE_ARRIVED = "message_arrived"
    """The phone shows it."""
    MESSAGE_WRITTEN = "message_written"
    """The contact sent it."""
    MESSAGE_READ = "message_read"
    """The contact sees that a message of theirs was read."""
    TYPING_SHOWN = "typing_shown"
    MESSAGE_REDACTED = "message_redacted"
    MESSAGE_DELETED = "message_deleted"
    MEDIA_DELETED = "media_deleted"
    WEBHOOK_ANSWERED = "webhook_answered"
    WEBHOOK_FAILED = "webhook_failed"
    """What Twilio's debugger would show."""
    CALLBACK_LOST = "callback_lost"
    MESSAGE_DROPPED = "message_dropped"
    """The contact sent it, no webhook took it, and Twilio does not try again: only the list has it."""
    FAULT_HAPPENED = "fault_happened"
    """Something went wrong on purpose; its details name it, such as `create.500_after`."""
    MODEL_ASKED = "model_asked"
    PHONE_CHANGED = "phone_changed"
    FAULTS_CHANGED = "faults_changed"
    TIME_PASSED = "time_passed"
    """Somebody at the phone page moved the clock of the system; the stand-in's own goes on as before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """at is in seconds since 1970; number counts from 1 without gaps, over restarts too."""

    number: int
    at: float
    kind: Kind
    sid: str
    details: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Ledger:
    """
    Append-only, in memory and, given a path, in a file of one JSON object a line.

    The file is flushed to the system but not synced: it survives the end of the process, not of the machine. A last line that was
    cut short by a kill is dropped at the next start.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._changed = asyncio.Event()
        self._file: BinaryIO | None = None
        if path is not None:
            self._file = _opened(path)
            self._entries.extend(_read(self._file))

    def append(self, kind: Kind, sid: str = "", **details: Any) -> Entry:
        entry = Entry(len(self._entries) + 1, time.time(), kind, sid, details)
        if self._file is not None:
            self._file.write(json.dumps(entry.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
            self._file.flush()
        self._entries.append(entry)
        self._changed.set()
        self._changed = asyncio.Event()
        return entry

    def entries(self, after: int = 0) -> Sequence[Entry]:
        return self._entries[max(after, 0) :]

    def __len__(self) -> int:
        return len(self._entries)

    async def changed(self) -> None:
        """Return at the next append."""
        await self._changed.wait()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _opened(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def _read(file: BinaryIO) -> list[Entry]:
    entries = []
    end = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        fields = json.loads(line)
        entries.append(Entry(fields["number"], fields["at"], Kind(fields["kind"]), fields["sid"], fields["details"]))
        end += len(line)
    file.seek(end)
    file.truncate()
    return entries
