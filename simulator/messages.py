"""The Message resource, and the account's messages as the ledger tells them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from simulator.errors import failure_message
from simulator.ledger import Entry, Kind

API_VERSION = "2010-04-01"
UNFINISHED = frozenset({"accepted", "queued", "sent"})


@dataclass(frozen=True, slots=True)
class Media:
    sid: str
    content_type: str
    url: str = ""
    """Where an API client wants it fetched from; empty for what a contact sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """Times are in seconds since 1970; Twilio shows whole seconds only."""

    sid: str
    direction: str
    sender: str
    recipient: str
    body: str
    status: str
    created_at: float
    updated_at: float
    sent_at: float | None = None
    media: tuple[Media, ...] = ()
    messaging_service_sid: str | None = None
    status_callback: str | None = None
    error_code: int | None = None
    failure_code: int | None = None
    """The code it is bound to fail with once it is on its way."""

    @property
    def is_inbound(self) -> bool:
        return self.direction == "inbound"

    @property
    def is_finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def dated_at(self) -> float:
        """What the DateSent filters compare; a message that was not sent yet counts by its creation."""
        return self.created_at if self.sent_at is None else self.sent_at

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def message_from_json(fields: Mapping[str, Any]) -> Message:
    return Message(**{**fields, "media": tuple(Media(**item) for item in fields["media"])})


class Messages:
    """A fold of the ledger: the same entries give the same messages after a restart."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._ordinals: dict[str, int] = {}

    def __contains__(self, sid: str) -> bool:
        return sid in self._messages

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, sid: str) -> Message | None:
        return self._messages.get(sid)

    def newest_first(self, older_than: int | None = None) -> Iterator[tuple[int, Message]]:
        """Each with its ordinal, which never changes, so that a page can begin where the last one ended."""
        for sid, message in reversed(self._messages.items()):
            ordinal = self._ordinals[sid]
            if older_than is None or ordinal < older_than:
                yield ordinal, message

    def unfinished(self) -> list[Message]:
        return [message for message in self._messages.values() if not message.is_inbound and not message.is_finished]

    def apply(self, entry: Entry) -> None:
        match entry.kind:
            case Kind.MESSAGE_ACCEPTED | Kind.MESSAGE_WRITTEN:
                self._ordinals[entry.sid] = entry.number
                self._messages[entry.sid] = message_from_json(entry.details["message"])
            case Kind.MESSAGE_DELETED:
                self._messages.pop(entry.sid, None)
            case Kind.STATUS_CHANGED | Kind.MESSAGE_REDACTED | Kind.MEDIA_DELETED:
                if entry.sid in self._messages:
                    self._messages[entry.sid] = _changed(self._messages[entry.sid], entry)
            case _:
                pass


def _changed(message: Message, entry: Entry) -> Message:
    match entry.kind:
        case Kind.STATUS_CHANGED:
            status = entry.details["status"]
            sent_at = entry.at if status == "sent" else message.sent_at
            return replace(message, status=status, error_code=entry.details["error_code"], sent_at=sent_at, updated_at=entry.at)
        case Kind.MESSAGE_REDACTED:
            return replace(message, body="", updated_at=entry.at)
        case _:
            kept = tuple(media for media in message.media if media.sid != entry.details["media_sid"])
            return replace(message, media=kept, updated_at=entry.at)


def message_resource(message: Message, account_sid: str) -> dict[str, Any]:
    """As Twilio writes it: counts are strings, dates are RFC 2822, a message of a service has no sender before it is sent."""
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Messages/{message.sid}"
    is_assigned = message.status != "accepted"
    return {
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "body": message.body,
        "date_created": rfc2822(message.created_at),
        "date_sent": None if message.sent_at is None else rfc2822(message.sent_at),
        "date_updated": rfc2822(message.updated_at),
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None if message.error_code is None else failure_message(message.error_code),
        "from": message.sender if is_assigned else None,
        "messaging_service_sid": message.messaging_service_sid,
        "num_media": str(len(message.media)),
        "num_segments": "1" if is_assigned else "0",
        "price": None,
        "price_unit": None,
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.recipient,
        "uri": f"{uri}.json",
    }


def media_resource(media: Media, message: Message, account_sid: str) -> dict[str, Any]:
    return {
        "account_sid": account_sid,
        "content_type": media.content_type,
        "date_created": rfc2822(message.created_at),
        "date_updated": rfc2822(message.created_at),
        "parent_sid": message.sid,
        "sid": media.sid,
        "uri": f"/{API_VERSION}/Accounts/{account_sid}/Messages/{message.sid}/Media/{media.sid}.json",
    }


def rfc2822(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC))
