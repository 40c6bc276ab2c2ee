"""What each contact's phone shows and knows, as the ledger tells it."""

from dataclasses import dataclass, field
from typing import Any

from simulator.ledger import Entry, Kind

TYPING_SECONDS = 25
"""WhatsApp hides the indicator after this long, or when a message arrives."""

STOP_WORDS = frozenset({"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"})
START_WORDS = frozenset({"START", "UNSTOP", "YES"})


@dataclass(slots=True)
class Received:
    """number is the ledger's: a reader waits for what comes after it."""

    number: int
    at: float
    sid: str
    body: str
    media: list[str]
    status: str = "delivered"


@dataclass(slots=True)
class Written:
    number: int
    at: float
    sid: str
    body: str
    message_type: str
    media: list[str]
    is_read: bool = False
    webhook_status: int | None = None
    """The answer to the last webhook; None until one was answered."""
    is_acknowledged: bool = False
    """Whether any webhook, or a fallback, ever took it."""


@dataclass(slots=True)
class Phone:
    address: str
    received: list[Received] = field(default_factory=list)
    sent: list[Written] = field(default_factory=list)
    last_wrote_at: float | None = None
    typing_until: float = 0.0
    is_opted_out: bool = False
    has_read_receipts: bool = True

    def has_open_window(self, now: float, window_hours: float) -> bool:
        """WhatsApp takes free-form messages only for so long after the contact last wrote."""
        return self.last_wrote_at is not None and now - self.last_wrote_at < window_hours * 3600


class Phones:
    """A fold of the ledger; a phone nobody has heard of is switched on and empty."""

    def __init__(self) -> None:
        self._phones: dict[str, Phone] = {}
        self._sent: dict[str, Written] = {}
        self._received: dict[str, Received] = {}

    def get(self, address: str) -> Phone:
        return self._phones.get(address) or Phone(address)

    def has_received(self, sid: str) -> bool:
        return sid in self._received

    def addresses(self) -> list[str]:
        return list(self._phones)

    def last_writers_first(self) -> list[str]:
        """Their addresses; those that never wrote come last."""
        return sorted(self._phones, key=self._last_written, reverse=True)

    def _last_written(self, address: str) -> int:
        sent = self._phones[address].sent
        return sent[-1].number if sent else 0

    def apply(self, entry: Entry) -> None:
        match entry.kind:
            case Kind.MESSAGE_WRITTEN:
                self._write(entry)
            case Kind.MESSAGE_ARRIVED:
                self._receive(entry)
            case Kind.STATUS_CHANGED if entry.sid in self._received:
                self._received[entry.sid].status = entry.details["status"]
            case Kind.WEBHOOK_ANSWERED | Kind.WEBHOOK_FAILED if entry.sid in self._sent:
                self._sent[entry.sid].webhook_status = entry.details["status"]
                self._sent[entry.sid].is_acknowledged |= entry.details.get("is_acknowledged", False)
            case Kind.MESSAGE_READ:
                self._sent[entry.sid].is_read = True
            case Kind.TYPING_SHOWN:
                self._phone(entry).typing_until = entry.at + TYPING_SECONDS
            case Kind.PHONE_CHANGED:
                phone = self._phone(entry)
                phone.is_opted_out = entry.details["is_opted_out"]
                phone.has_read_receipts = entry.details["has_read_receipts"]
            case _:
                pass

    def _phone(self, entry: Entry) -> Phone:
        address: str = entry.details["address"]
        return self._phones.setdefault(address, Phone(address))

    def _write(self, entry: Entry) -> None:
        message: dict[str, Any] = entry.details["message"]
        phone = self._phone(entry)
        media = [item["content_type"] for item in message["media"]]
        written = Written(entry.number, entry.at, entry.sid, message["body"], entry.details["message_type"], media)
        phone.sent.append(written)
        phone.last_wrote_at = entry.at
        self._sent[entry.sid] = written

    def _receive(self, entry: Entry) -> None:
        phone = self._phone(entry)
        received = Received(entry.number, entry.at, entry.sid, entry.details["body"], entry.details["media"])
        phone.received.append(received)
        phone.typing_until = 0.0
        self._received[entry.sid] = received


def opt_out_type(body: str) -> str | None:
    """The keyword of Advanced Opt-Out that a whole message is, if any."""
    word = body.strip().upper()
    if word in STOP_WORDS:
        return "STOP"
    if word in START_WORDS:
        return "START"
    return "HELP" if word in {"HELP", "INFO"} else None
