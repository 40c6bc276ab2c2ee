"""The simulated Twilio account: one ledger, and what follows from it."""

import time
from typing import Any

from simulator.ledger import Entry, Kind, Ledger
from simulator.media import MediaStore
from simulator.messages import Message, Messages
from simulator.phones import Phone, Phones
from simulator.settings import SimulatorSettings


class Account:
    """Nothing changes but by an entry in the ledger."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.ledger_path)
        self.messages = Messages()
        self.phones = Phones()
        self.media = MediaStore(None if settings.ledger_path is None else settings.ledger_path.with_suffix(".media"))
        for entry in self.ledger.entries():
            self._apply(entry)

    def record(self, kind: Kind, sid: str = "", **details: Any) -> Entry:
        entry = self.ledger.append(kind, sid, **details)
        self._apply(entry)
        return entry

    def note_fault(self, fault: str, sid: str = "", **details: Any) -> None:
        """fault is the plan's section and the fault's name in it, with a dot between."""
        self.record(Kind.FAULT_HAPPENED, sid, fault=fault, **details)

    def has_open_window(self, address: str) -> bool:
        return self.phones.get(address).has_open_window(time.time(), self.settings.window_hours)

    def change_status(self, sid: str, status: str, error_code: int | None = None) -> Message | None:
        """None when the message was deleted meanwhile."""
        self.record(Kind.STATUS_CHANGED, sid, status=status, error_code=error_code)
        return self.messages.get(sid)

    def change_phone(self, address: str, is_opted_out: bool, has_read_receipts: bool) -> Phone:
        self.record(Kind.PHONE_CHANGED, address=address, is_opted_out=is_opted_out, has_read_receipts=has_read_receipts)
        return self.phones.get(address)

    def close(self) -> None:
        self.ledger.close()

    def _apply(self, entry: Entry) -> None:
        self.messages.apply(entry)
        self.phones.apply(entry)
