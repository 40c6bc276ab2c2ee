"""What contacts wrote, what was sent to them, and how far it came."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from streams.events.event_data import EventData


class Media(BaseModel):
    """A file that came with a message; the address needs Twilio's credentials."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    content_type: str


class MessageReceived(EventData):
    """A contact wrote. `body` is always readable: what is no text stands there as a placeholder such as `[image]`."""

    name: ClassVar[str] = "message.received"

    sid: str
    kind: str
    body: str
    profile_name: str | None = None
    media: tuple[Media, ...] = ()
    choice: str | None = None
    """The payload of a pressed button, or the id of a chosen list item."""
    reply_to_sid: str | None = None
    form: dict[str, tuple[str, ...]]
    """The webhook's form as it came, unknown fields included."""


class MessageStatusChanged(EventData):
    """WhatsApp told how far one of our messages came. Callbacks are lost, late, doubled and out of order."""

    name: ClassVar[str] = "message.status_changed"

    sid: str
    status: str
    error_code: int | None = None
    attempt: str | None = None
    """The send attempt that our callback address carried: proof that this attempt reached Twilio."""
    form: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class MessageSent(EventData):
    """Twilio accepted a part of a reply and named it `sid`."""

    name: ClassVar[str] = "message.sent"

    reply: str
    part: int
    attempt: str
    sid: str
    status: str = "queued"
