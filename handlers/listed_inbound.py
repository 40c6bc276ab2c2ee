"""
From a message as Twilio lists it to the event that its webhook would have made. Pure.

It is put into the form of a webhook first, so that both come to the same event by the same code. The list knows less: no profile
name, no kind, no button, no place.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

from streams.events import MessageReceived
from webhook.forms import MOST_MEDIA, Form, MalformedForm, message_received, storable

INBOUND = "inbound"
LONGEST_FIELD = 65_536
"""Characters; WhatsApp allows a body of 4,096."""

_FIELDS = {
    "MessageSid": "sid",
    "AccountSid": "account_sid",
    "From": "from",
    "To": "to",
    "Body": "body",
    "NumMedia": "num_media",
    "NumSegments": "num_segments",
    "SmsStatus": "status",
    "MessagingServiceSid": "messaging_service_sid",
    "ApiVersion": "api_version",
}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SID = re.compile(r"[A-Za-z0-9]{1,34}")
_CONTENT_TYPE = re.compile(r"[!-~]{1,127}/[!-~]{1,127}")

FILES_UNKNOWN = "media"
"""The kind of a message that has files of which Twilio tells nothing any more; it reads `[unsupported message: media]`."""


@dataclass(frozen=True, slots=True)
class ListedInbound:
    """A message that a contact wrote, as Twilio holds it; what `event_of` makes of it is what a webhook would have brought."""

    sid: str
    thread: str
    written_at: datetime
    """By Twilio's clock, in whole seconds."""
    has_media: bool
    form: Form


def read_inbound(resource: Any, *, sender: str, account: str) -> ListedInbound | None:
    """
    One entry of the list of what was written to our `sender`; None for what is not inbound.

    What is to any other address is refused: it would become one of ours, which is listed and answered from ever after.

    Raises `MalformedForm` for what cannot be a message to us, whose reason is safe to log.
    """
    if not isinstance(resource, dict):
        raise MalformedForm("not a message")
    if resource.get("direction") != INBOUND:
        return None
    if resource.get("to") != sender:
        raise MalformedForm("not to the address that was asked for", "to")
    form = _form_of(resource)
    thread, message = message_received(form, account)
    has_media = form.get("NumMedia", ("0",)) != ("0",)
    return ListedInbound(message.sid, thread, _written_at(resource), has_media, form)


def event_of(listed: ListedInbound, media: Sequence[tuple[str, str]], account: str) -> MessageReceived:
    """What its webhook would have said; `media` are addresses and content types."""
    form = dict(listed.form)
    for number, (url, content_type) in enumerate(media[:MOST_MEDIA]):
        form |= {f"MediaUrl{number}": (url,), f"MediaContentType{number}": (content_type,)}
    if listed.has_media and not media:
        form["MessageType"] = (FILES_UNKNOWN,)
    return message_received(form, account)[1]


def files_of(entries: Sequence[Any]) -> list[tuple[str, str]]:
    """Sid and content type of each file in a list of Twilio's; what is none is left out."""
    files = (entry for entry in entries if isinstance(entry, dict))
    return [(str(entry["sid"]), _content_type(entry.get("content_type"))) for entry in files if _is_sid(entry.get("sid"))]


def _form_of(resource: Mapping[str, Any]) -> Form:
    told = {name: resource.get(field) for name, field in _FIELDS.items()}
    form = {name: (_LONE_SURROGATE.sub(_REPLACEMENT, value),) for name, value in told.items() if isinstance(value, str)}
    if too_long := [name for name, (value,) in form.items() if len(value) > LONGEST_FIELD]:
        raise MalformedForm("too long", *too_long)
    return storable(form)


def _written_at(resource: Mapping[str, Any]) -> datetime:
    """When Twilio took it; a list that leaves that out may tell when it was sent, which for what came in is the same."""
    for field in ("date_created", "date_sent"):
        try:
            told = parsedate_to_datetime(resource[field])
            return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError):
            continue
    raise MalformedForm("no date", "date_created")


def sid_of(resource: Any) -> str | None:
    """What may be told of an entry that cannot be read; None where even that is no sid."""
    sid = resource.get("sid") if isinstance(resource, dict) else None
    return sid if _is_sid(sid) else None


def _is_sid(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _SID.fullmatch(value) is not None


def _content_type(value: object) -> str:
    return value if isinstance(value, str) and _CONTENT_TYPE.fullmatch(value) else "application/octet-stream"
