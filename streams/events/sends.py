"""Who calls Twilio for which part of a reply, and what came of it."""

from enum import StrEnum
from typing import ClassVar

from streams.events.event_data import EventData


class SendStarted(EventData):
    """Somebody is about to call Twilio. The fold grants the part to the first open attempt in log order."""

    name: ClassVar[str] = "send.started"

    reply: str
    part: int
    attempt: str


class Rejection(StrEnum):
    """Why a part will not be sent; the sender's error table maps Twilio's codes to these."""

    WINDOW_CLOSED = "window_closed"
    UNREACHABLE = "unreachable"
    OPTED_OUT = "opted_out"
    LIMIT = "limit"
    CONFIGURATION = "configuration"
    THROTTLED = "throttled"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


class SendRejected(EventData):
    """The part was not delivered and will not be tried again; `attempt` is empty where nothing was called."""

    name: ClassVar[str] = "send.rejected"

    reply: str
    part: int
    attempt: str | None = None
    code: int | None = None
    reason: Rejection = Rejection.UNKNOWN


class SendDisproved(EventData):
    """It is proven that this attempt sent nothing; another may be granted."""

    name: ClassVar[str] = "send.disproved"

    reply: str
    part: int
    attempt: str
    code: int | None = None


class SendUnconfirmed(EventData):
    """Nobody can tell whether this attempt sent the part: a person decides."""

    name: ClassVar[str] = "send.unconfirmed"

    reply: str
    part: int
    attempt: str


class SendCancelled(EventData):
    """The holder of this attempt gave it up before calling; another may be granted."""

    name: ClassVar[str] = "send.cancelled"

    reply: str
    part: int
    attempt: str
