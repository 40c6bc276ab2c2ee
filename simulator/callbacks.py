"""How an API client is told of a message's statuses: by callbacks, each of which may be lost, late or doubled."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5

from simulator.account import Account
from simulator.addresses import masked
from simulator.background import Background
from simulator.draws import CallbackFate, CallbackOrder, Faults
from simulator.errors import failure_message
from simulator.ledger import Kind
from simulator.messages import API_VERSION, Message
from simulator.webhook_client import WebhookClient

EVENT_TYPES = {"delivered": "DELIVERED", "read": "READ", "undelivered": "UNDELIVERED", "failed": "UNDELIVERED"}


class Callbacks:
    """They go out beside the message, never before it: a slow webhook delays no message."""

    def __init__(self, account: Account, faults: Faults, webhooks: WebhookClient, background: Background) -> None:
        self.account = account
        self.faults = faults
        self.webhooks = webhooks
        self.background = background

    def of(self, message: Message) -> "Telling":
        order = self.faults.draw_order()
        if order is not CallbackOrder.AS_IT_HAPPENS:
            self.account.note_fault(f"callbacks.{order}", message.sid)
        return Telling(self, message, order)


@dataclass(frozen=True, slots=True)
class _Callback:
    url: str
    form: Mapping[str, str]
    fate: CallbackFate


@dataclass(slots=True)
class Telling:
    """The callbacks of one message, in the order that it was given."""

    callbacks: Callbacks
    message: Message
    order: CallbackOrder
    _held: list[_Callback] = field(default_factory=list)

    def tell(self, message: Message) -> None:
        """Of the status that it has now."""
        account = self.callbacks.account
        url = message.status_callback or account.settings.status_default_url
        if url is None:
            return
        callback = _Callback(url, status_form(message, account.settings.account_sid), self.callbacks.faults.draw_callback())
        self._note(callback)
        if self.order is CallbackOrder.AS_IT_HAPPENS:
            self._start(callback)
        else:
            self._held.append(callback)

    def end(self) -> None:
        """No status follows: whatever was held back goes out."""
        held, self._held = self._held, []
        if self.order is CallbackOrder.REVERSED:
            self.callbacks.background.start(self._post_in_order(held[::-1]))
        for callback in held if self.order is CallbackOrder.AT_ONCE else ():
            self._start(callback)

    def _note(self, callback: _Callback) -> None:
        account, sid, status = self.callbacks.account, callback.form["MessageSid"], callback.form["MessageStatus"]
        if callback.fate.copies == 0:
            account.record(Kind.CALLBACK_LOST, sid, message_status=status)
            account.note_fault("callbacks.lost", sid, message_status=status)
        if callback.fate.copies > 1:
            account.note_fault("callbacks.duplicate", sid, message_status=status)
        if callback.fate.delay_seconds > 0:
            account.note_fault("callbacks.late", sid, message_status=status, seconds=callback.fate.delay_seconds)

    def _start(self, callback: _Callback) -> None:
        for _ in range(callback.fate.copies):
            self.callbacks.background.start(self._post(callback))

    async def _post_in_order(self, held: list[_Callback]) -> None:
        for callback in held:
            for _ in range(callback.fate.copies):
                await self._post(callback)

    async def _post(self, callback: _Callback) -> None:
        await asyncio.sleep(callback.fate.delay_seconds)
        outcome = await self.callbacks.webhooks.post(callback.url, callback.form)
        self.callbacks.account.record(
            Kind.WEBHOOK_ANSWERED if outcome.is_delivered else Kind.WEBHOOK_FAILED,
            callback.form["MessageSid"],
            url=callback.url,
            message_status=callback.form["MessageStatus"],
            status=outcome.status,
            error_code=outcome.error_code,
            attempts=outcome.attempts,
            is_acknowledged=outcome.is_delivered,
        )


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
