"""What the phones on the page show: a fold of the ledger. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from simulator.errors import failure_message
from simulator.ledger import Entry, Kind
from simulator.phones import TYPING_SECONDS

SHOWN = 120
"""Older bubbles leave the page; they stay in the ledger."""


class Tick(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


_TICKS = {"sent": Tick.SENT, "delivered": Tick.DELIVERED, "read": Tick.READ, "undelivered": Tick.FAILED, "failed": Tick.FAILED}


@dataclass(frozen=True, slots=True)
class Picture:
    """`path` is where this process serves it; empty for what is elsewhere, which the page never fetches."""

    content_type: str
    path: str


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message on a phone, or a note about one that never came into being. `at` is the moment by the system's clock."""

    sid: str
    at: float
    is_own: bool
    kind: str
    body: str
    tick: Tick = Tick.WAITING
    trouble: str = ""
    media: tuple[Picture, ...] = ()
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    opens_day: bool = False
    opens_row: bool = False


NOTE = "note"
TIME = "time"
ABOUT_NOBODY = frozenset({NOTE, TIME})


@dataclass(slots=True)
class Chat:
    """One contact's phone. `changed` are the bubbles that nobody has taken yet."""

    bubbles: dict[str, Bubble] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    typing_until: float = 0.0
    has_read_receipts: bool = True

    def put(self, bubble: Bubble) -> None:
        self.bubbles[bubble.sid] = bubble
        self.changed.add(bubble.sid)
        while len(self.bubbles) > SHOWN:
            gone = next(iter(self.bubbles))
            del self.bubbles[gone]
            self.changed.discard(gone)

    def add(self, bubble: Bubble) -> None:
        last = next(reversed(self.bubbles.values()), None)
        opens_day = last is None or _day(last.at) != _day(bubble.at)
        opens_row = opens_day or last is None or last.is_own != bubble.is_own or last.kind in ABOUT_NOBODY
        self.put(replace(bubble, opens_day=opens_day, opens_row=opens_row))

    def take_changed(self) -> list[Bubble]:
        changed = [bubble for sid, bubble in self.bubbles.items() if sid in self.changed]
        self.changed.clear()
        return changed


class Chats:
    """
    The chats of these contacts; entries about others are passed over.

    A phone's clock goes with the system's: whatever comes after time was let pass is dated by so much later.
    """

    def __init__(self, contacts: Iterable[str]) -> None:
        self.chats = {contact: Chat() for contact in contacts}
        self._chat_of: dict[str, Chat] = {}
        self._ahead_seconds = 0.0

    def apply(self, entry: Entry) -> None:
        if entry.kind is Kind.TIME_PASSED:
            self._let_time_pass(entry)
            return
        chat = self._chat_of.get(entry.sid) or self.chats.get(entry.details.get("address", ""))
        if chat is None:
            return
        match entry.kind:
            case Kind.MESSAGE_WRITTEN | Kind.MESSAGE_ACCEPTED:
                self._chat_of[entry.sid] = chat
                self._add(chat, _written(entry) if entry.kind is Kind.MESSAGE_WRITTEN else _accepted(entry))
            case Kind.MESSAGE_REFUSED:
                self._add(chat, _refused(entry))
            case Kind.MESSAGE_ARRIVED:
                chat.typing_until = 0.0
            case Kind.TYPING_SHOWN:
                chat.typing_until = entry.at + TYPING_SECONDS
            case Kind.PHONE_CHANGED:
                chat.has_read_receipts = entry.details["has_read_receipts"]
            case _:
                if entry.sid in chat.bubbles:
                    chat.put(_changed(chat.bubbles[entry.sid], entry))

    def _let_time_pass(self, entry: Entry) -> None:
        """Said wherever somebody has spoken."""
        self._ahead_seconds += 60.0 * entry.details["minutes"]
        for chat in self.chats.values():
            if chat.bubbles:
                self._add(chat, Bubble(f"time-{entry.number}", entry.at, False, TIME, entry.details["told"]))

    def _add(self, chat: Chat, bubble: Bubble) -> None:
        chat.add(replace(bubble, at=bubble.at + self._ahead_seconds))


def _written(entry: Entry) -> Bubble:
    message: Mapping[str, Any] = entry.details["message"]
    media = tuple(Picture(item["content_type"], f"/cdn/{entry.sid}/{item['sid']}") for item in message["media"])
    fields = MappingProxyType(dict(entry.details.get("fields", {})))
    kind = entry.details["message_type"]
    return Bubble(entry.sid, entry.at, True, kind, message["body"], Tick.SENT, media=media, fields=fields)


def _accepted(entry: Entry) -> Bubble:
    message: Mapping[str, Any] = entry.details["message"]
    media = tuple(Picture(item["content_type"], "") for item in message["media"])
    return Bubble(entry.sid, entry.at, False, "text", message["body"], media=media)


def _refused(entry: Entry) -> Bubble:
    return Bubble(f"refused-{entry.number}", entry.at, False, NOTE, f"Twilio did not take a send: {entry.details['reason']}")


def _changed(bubble: Bubble, entry: Entry) -> Bubble:
    """A phone keeps what Twilio has forgotten: redacting and deleting change no bubble."""
    match entry.kind:
        case Kind.STATUS_CHANGED:
            code = entry.details["error_code"]
            trouble = "" if code is None else f"{code} · {failure_message(code)}"
            return replace(bubble, tick=_TICKS.get(entry.details["status"], Tick.WAITING), trouble=trouble)
        case Kind.MESSAGE_READ:
            return replace(bubble, tick=Tick.READ)
        case Kind.WEBHOOK_ANSWERED if bubble.is_own and bubble.tick is not Tick.READ:
            return replace(bubble, tick=Tick.DELIVERED, trouble="")
        case Kind.WEBHOOK_FAILED if bubble.is_own and bubble.tick is Tick.SENT:
            return replace(bubble, tick=Tick.FAILED, trouble=_webhook_trouble(entry.details["status"]))
        case Kind.MESSAGE_DROPPED if bubble.tick is Tick.SENT:
            return replace(bubble, tick=Tick.FAILED, trouble="No webhook was called")
        case _:
            return bubble


def _webhook_trouble(status: int | None) -> str:
    return "The webhook did not answer" if status is None else f"The webhook answered {status}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).date().isoformat()
