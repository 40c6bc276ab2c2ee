"""One message, as its row stands."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One WhatsApp message, either way. An outbound one may be known by a callback before anybody says what it was."""

    sid: str
    thread: str
    direction: str
    status: str
    at_ms: int
    event: str
    conversation_id: str | None = None
    kind: str = "text"
    body: str | None = None
    error_code: int | None = None
    reply_id: str | None = None
    part: int | None = None
    attempt: str | None = None
    profile_name: str | None = None
    choice: str | None = None
    media: tuple[Mapping[str, str], ...] = ()

    @property
    def is_rumour(self) -> bool:
        """Only a callback told of it: no send and no contact of ours has named it."""
        return self.direction == "outbound" and self.reply_id is None
