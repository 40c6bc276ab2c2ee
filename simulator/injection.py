"""A contact writes: Twilio keeps the message, and posts it to the inbound webhook, or drops it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urldefrag

from simulator.account import Account
from simulator.background import Background
from simulator.draws import Faults, InboundFate
from simulator.inbound import Attachment, InboundMessage, fields_of_type, inbound_form, opt_out_field
from simulator.ledger import Kind
from simulator.messages import Media, Message
from simulator.phones import opt_out_type
from simulator.sids import new_sid
from simulator.webhook_client import Outcome, SignedPost, WebhookClient

KEPT_POSTS = 10_000
"""The newest of them can be replayed."""


@dataclass(frozen=True, slots=True)
class Injected:
    """outcomes has one entry for each copy; it is empty when nobody waited, no webhook is configured or the message is lost."""

    sid: str
    outcomes: tuple[Outcome, ...]


class Injection:
    """A webhook that fails after its retries and its fallback is not tried again; the message stays in the list."""

    def __init__(self, account: Account, faults: Faults, webhooks: WebhookClient, background: Background) -> None:
        self._account = account
        self._faults = faults
        self._webhooks = webhooks
        self._background = background
        self._posted: dict[str, SignedPost] = {}

    async def write(self, inbound: InboundMessage, api_url: str) -> Injected:
        url = self._account.settings.inbound_url
        message = self._recorded(inbound)
        if url is None:
            return Injected(message.sid, ())
        fate = self._faults.draw_inbound(len(self._posted))
        if fate.replayed is not None:
            self._background.start(self._post_again(list(self._posted)[fate.replayed]))
        if fate.copies == 0:
            self._account.note_fault("inbound.lost", message.sid)
            self._drop(message.sid, "never posted")
            return Injected(message.sid, ())
        form = self._form(inbound, message, api_url)
        posts = self._signed(url, form, copies=max(inbound.copies, fate.copies))
        self._keep(message.sid, posts[0])
        return Injected(message.sid, await self._post_copies(posts, inbound, fate))

    async def replay(self, sid: str) -> Outcome | None:
        """Post it once more, with the signature that it had; None for what was not posted since the process began."""
        post = self._posted.get(sid)
        if post is None:
            return None
        self._account.note_fault("inbound.replay", sid)
        outcome = await self._webhooks.deliver(post)
        self._record(post.url, post.form, outcome)
        return outcome

    async def _post_copies(self, posts: Sequence[SignedPost], inbound: InboundMessage, fate: InboundFate) -> tuple[Outcome, ...]:
        """Those that a contact's message asked for go out at once in any case."""
        if fate.copies > 1:
            self._account.note_fault("inbound.duplicate", posts[0].form["MessageSid"], copies=fate.copies)
        now = max(inbound.copies, 1 if fate.copies_after_seconds > 0 else fate.copies)
        for post in posts[now:]:
            self._background.start(self._post_unwatched(post, fate.copies_after_seconds))
        if not inbound.wait:
            for post in posts[:now]:
                self._background.start(self._post_unwatched(post))
            return ()
        return tuple(await asyncio.gather(*[self._post(post) for post in posts[:now]]))

    def _form(self, inbound: InboundMessage, message: Message, api_url: str) -> dict[str, str]:
        settings = self._account.settings
        form = inbound_form(inbound, message, settings.account_sid, api_url)
        return form | opt_out_field(inbound.body) if settings.has_advanced_opt_out else form

    def _signed(self, url: str, form: Mapping[str, str], *, copies: int) -> list[SignedPost]:
        """Each with an idempotency token of its own, as Twilio's duplicates have."""
        return [self._webhooks.signed(url, form, self._account.settings.inbound_public_url) for _ in range(copies)]

    def _keep(self, sid: str, post: SignedPost) -> None:
        self._posted[sid] = post
        if len(self._posted) > KEPT_POSTS:
            del self._posted[next(iter(self._posted))]

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

    async def _post_unwatched(self, post: SignedPost, after_seconds: float = 0.0) -> None:
        await asyncio.sleep(after_seconds)
        await self._post(post)

    async def _post_again(self, sid: str) -> None:
        await self.replay(sid)

    async def _post(self, post: SignedPost) -> Outcome:
        settings = self._account.settings
        outcome = await self._webhooks.deliver(post)
        self._record(post.url, post.form, outcome)
        if not outcome.is_delivered and settings.fallback_url is not None:
            failed_url = urldefrag(settings.inbound_public_url or post.url).url
            failure = {"ErrorCode": str(outcome.error_code), "ErrorUrl": failed_url}
            outcome = await self._webhooks.post(settings.fallback_url, {**post.form, **failure})
            self._record(settings.fallback_url, post.form, outcome)
        if not outcome.is_delivered:
            self._drop(post.form["MessageSid"], "not taken")
        return outcome

    def _drop(self, sid: str, reason: str) -> None:
        self._account.record(Kind.MESSAGE_DROPPED, sid, reason=reason)

    def _record(self, url: str, form: Mapping[str, str], outcome: Outcome) -> None:
        is_clean = outcome.is_delivered and outcome.error_code is None
        self._account.record(
            Kind.WEBHOOK_ANSWERED if is_clean else Kind.WEBHOOK_FAILED,
            form["MessageSid"],
            url=url,
            status=outcome.status,
            error_code=outcome.error_code,
            attempts=outcome.attempts,
            is_acknowledged=outcome.is_delivered,
        )
