"""The way of an accepted message to the phone."""

import asyncio

from simulator.account import Account
from simulator.background import Background
from simulator.callbacks import Callbacks, Telling
from simulator.draws import Faults
from simulator.ledger import Kind
from simulator.messages import Message


class StatusEngine:
    """
    queued (or accepted) → sent → delivered → read; or undelivered, with a code.

    There is no callback for the initial status. Messages of one phone arrive in the order of their acceptance.
    """

    def __init__(self, account: Account, faults: Faults, callbacks: Callbacks, background: Background) -> None:
        self._account = account
        self._faults = faults
        self._callbacks = callbacks
        self._background = background

    def resume(self) -> None:
        """What was on its way when the process ended goes on."""
        for message in self._account.messages.unfinished():
            self.start(message)

    def start(self, message: Message) -> None:
        self._background.start(self._advance(message, self._callbacks.of(message)))

    async def _advance(self, message: Message, telling: Telling) -> None:
        await self._go_its_way(message, telling)
        telling.end()

    async def _go_its_way(self, message: Message, telling: Telling) -> None:
        delays = self._account.settings.delays
        if message.status != "sent":
            await asyncio.sleep(delays.sent_seconds)
            if message.failure_code is not None:
                self._change(telling, "undelivered", message.failure_code)
                return
            self._change(telling, "sent")
        await asyncio.sleep(delays.delivered_seconds)
        self._arrive(message)
        self._change(telling, "delivered")
        if self._has_read_receipts(message.recipient):
            await asyncio.sleep(delays.read_seconds)
            self._change(telling, "read")

    def _arrive(self, message: Message) -> None:
        if self._account.phones.has_received(message.sid):
            return  # the process ended between the arrival and its status
        media = [media.url for media in message.media]
        self._account.record(Kind.MESSAGE_ARRIVED, message.sid, address=message.recipient, body=message.body, media=media)

    def _has_read_receipts(self, address: str) -> bool:
        return self._faults.plan.callbacks.read_receipts and self._account.phones.get(address).has_read_receipts

    def _change(self, telling: Telling, status: str, error_code: int | None = None) -> None:
        message = self._account.change_status(telling.message.sid, status, error_code)
        if message is not None:
            telling.tell(message)
