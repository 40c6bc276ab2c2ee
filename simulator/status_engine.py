"""The way of an accepted message to the phone, and the callbacks that tell of it."""

import asyncio
from collections.abc import Mapping
from hashlib import md5

from simulator.account import Account
from simulator.addresses import masked
from simulator.background import Background
from simulator.errors import failure_message
from simulator.faults import Faults
from simulator.ledger import Kind
from simulator.messages import API_VERSION, Message
from simulator.webhook_client import WebhookClient


class StatusEngine:
    """
    queued (or accepted) → sent → delivered → read; or undelivered, with a code.

    There is no callback for the initial status. Callbacks go out beside the message, never before it: a slow webhook delays
    no message, and callbacks may overtake one another. Messages of one phone arrive in the order of their acceptance.
    """

    def __init__(self, account: Account, faults: Faults, webhooks: WebhookClient, background: Background) -> None:
        self._account = account
        self._faults = faults
        self._webhooks = webhooks
        self._background = background

    def resume(self) -> None:
        """What was on its way when the process ended goes on."""
        for message in self._account.messages.unfinished():
            self.start(message)

    def start(self, message: Message) -> None:
        self._background.start(self._advance(message))

    async def _advance(self, message: Message) -> None:
        delays = self._account.settings.delays
        if message.status != "sent":
            await asyncio.sleep(delays.sent_seconds)
            if message.failure_code is not None:
                self._change(message.sid, "undelivered", message.failure_code)
                return
            self._change(message.sid, "sent")
        await asyncio.sleep(delays.delivered_seconds)
        self._arrive(message)
        self._change(message.sid, "delivered")
        if self._has_read_receipts(message.recipient):
            await asyncio.sleep(delays.read_seconds)
            self._change(message.sid, "read")

    def _arrive(self, message: Message) -> None:
        if self._account.phones.has_received(message.sid):
            return  # the process ended between the arrival and its status
        media = [media.url for media in message.media]
        self._account.record(Kind.MESSAGE_ARRIVED, message.sid, address=message.recipient, body=message.body, media=media)

    def _has_read_receipts(self, address: str) -> bool:
        return self._faults.plan.callbacks.read_receipts and self._account.phones.get(address).has_read_receipts

    def _change(self, sid: str, status: str, error_code: int | None = None) -> None:
        message = self._account.change_status(sid, status, error_code)
        if message is None:
            return
        url = message.status_callback or self._account.settings.status_default_url
        if url is None:
            return
        fate = self._faults.draw_callback()
        if fate.copies == 0:
            self._account.record(Kind.CALLBACK_LOST, sid, message_status=status)
        form = status_form(message, self._account.settings.account_sid)
        for _ in range(fate.copies):
            self._background.start(self._call_back(url, form, fate.delay_seconds))

    async def _call_back(self, url: str, form: Mapping[str, str], delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        outcome = await self._webhooks.post(url, form)
        self._account.record(
            Kind.WEBHOOK_ANSWERED if outcome.is_delivered else Kind.WEBHOOK_FAILED,
            form["MessageSid"],
            url=url,
            message_status=form["MessageStatus"],
            status=outcome.status,
            error_code=outcome.error_code,
            attempts=outcome.attempts,
        )


EVENT_TYPES = {"delivered": "DELIVERED", "read": "READ", "undelivered": "UNDELIVERED", "failed": "UNDELIVERED"}


def status_form(message: Message, account_sid: str) -> dict[str, str]:
    """The fields as captured from Twilio: no body, no time."""
    form = {
        "ChannelPrefix": "whatsapp",
        "ApiVersion": API_VERSION,
        "MessageStatus": message.status,
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "ChannelInstallSid": "XE" + md5(message.sender.encode(), usedforsecurity=False).hexdigest(),
        "To": message.recipient,
        "From": message.sender,
        "MessageSid": message.sid,
        "AccountSid": account_sid,
        "ChannelToAddress": masked(message.recipient),
    }
    if message.status == "sent":
        form["StructuredMessage"] = "false"
    if message.status in EVENT_TYPES:
        form["EventType"] = EVENT_TYPES[message.status]
    if message.messaging_service_sid is not None:
        form["MessagingServiceSid"] = message.messaging_service_sid
    if message.error_code is not None:
        sentence = failure_message(message.error_code)
        form |= {"ErrorCode": str(message.error_code), "ErrorMessage": sentence, "ChannelStatusMessage": sentence}
    return form
