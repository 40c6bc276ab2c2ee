"""A contact writes: Twilio keeps the message, and posts it to the inbound webhook, or drops it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urldefrag

from simulator.account import Account
from simulator.background import Background
from simulator.inbound import Attachment, InboundMessage, fields_of_type, inbound_form, opt_out_field
from simulator.ledger import Kind
from simulator.messages import Media, Message
from simulator.phones import opt_out_type
from simulator.sids import new_sid
from simulator.webhook_client import Outcome, WebhookClient


@dataclass(frozen=True, slots=True)
class Injected:
    """outcomes has one entry for each copy; it is empty when nobody waited or no webhook is configured."""

    sid: str
    outcomes: tuple[Outcome, ...]


class Injection:
    """A webhook that fails after its retries and its fallback is not tried again; the message stays in the list."""

    def __init__(self, account: Account, webhooks: WebhookClient, background: Background) -> None:
        self._account = account
        self._webhooks = webhooks
        self._background = background

    async def write(self, inbound: InboundMessage, api_url: str) -> Injected:
        settings = self._account.settings
        message = self._recorded(inbound)
        if settings.inbound_url is None:
            return Injected(message.sid, ())
        form = inbound_form(inbound, message, settings.account_sid, api_url)
        if settings.has_advanced_opt_out:
            form |= opt_out_field(inbound.body)
        if not inbound.wait:
            for _ in range(inbound.copies):
                self._background.start(self._post_unwatched(settings.inbound_url, form))
            return Injected(message.sid, ())
        posts = (self._post(settings.inbound_url, form) for _ in range(inbound.copies))
        return Injected(message.sid, tuple(await asyncio.gather(*posts)))

    def _recorded(self, inbound: InboundMessage) -> Message:
        attachment = inbound.attachment
        media = () if attachment is None else (self._stored(attachment),)
        now = time.time()
        message = Message(
            sid=new_sid("MM" if media else "SM"),
            direction="inbound",
            sender=inbound.sender,
            recipient=inbound.to or self._account.settings.sender,
            body=inbound.text,
            status="received",
            created_at=now,
            updated_at=now,
            sent_at=now,
            media=media,
        )
        self._account.record(
            Kind.MESSAGE_WRITTEN,
            message.sid,
            address=message.sender,
            message_type=inbound.message_type,
            message=message.to_json(),
            fields=fields_of_type(inbound),
        )
        self._obey_opt_out(inbound)
        return message

    def _stored(self, attachment: Attachment) -> Media:
        media = Media(new_sid("ME"), attachment.content_type)
        self._account.media.put(media.sid, attachment.content_bytes())
        return media

    def _obey_opt_out(self, inbound: InboundMessage) -> None:
        keyword = opt_out_type(inbound.body) if self._account.settings.has_advanced_opt_out else None
        if keyword in {"STOP", "START"}:
            phone = self._account.phones.get(inbound.sender)
            self._account.change_phone(inbound.sender, keyword == "STOP", phone.has_read_receipts)

    async def _post_unwatched(self, url: str, form: Mapping[str, str]) -> None:
        await self._post(url, form)

    async def _post(self, url: str, form: Mapping[str, str]) -> Outcome:
        settings = self._account.settings
        outcome = await self._webhooks.post(url, form, settings.inbound_public_url)
        self._record(url, form, outcome)
        if outcome.is_delivered or settings.fallback_url is None:
            return outcome
        failure = {"ErrorCode": str(outcome.error_code), "ErrorUrl": urldefrag(settings.inbound_public_url or url).url}
        outcome = await self._webhooks.post(settings.fallback_url, {**form, **failure})
        self._record(settings.fallback_url, form, outcome)
        return outcome

    def _record(self, url: str, form: Mapping[str, str], outcome: Outcome) -> None:
        is_clean = outcome.is_delivered and outcome.error_code is None
        self._account.record(
            Kind.WEBHOOK_ANSWERED if is_clean else Kind.WEBHOOK_FAILED,
            form["MessageSid"],
            url=url,
            status=outcome.status,
            error_code=outcome.error_code,
            attempts=outcome.attempts,
        )
