"""One granted attempt: call Twilio until it is known what came of it."""

import asyncio
import random
from urllib.parse import urlencode

from handlers.breaker import Breaker
from handlers.error_table import Outcome, Verdict, classify_response
from handlers.journal import Journal
from handlers.twilio_answers import Accepted, NeverConnected, Refused, SendResult, TooManyRequests, Unknown
from handlers.twilio_client import TwilioClient
from projections.reader import View
from projections.state import Reply
from streams.errors import LeaseLost
from streams.events import Event, MessageSent, Rejection, SendCancelled, SendRejected
from streams.log import Ownership
from streams.partitions import addresses_of
from streams.retry import RetryPolicy
from streams.thread_token import seal
from telemetry import log, thread_hash

LEASE_MARGIN_SECONDS = 0.2
"""How much longer than the call's limit the lease must last: for what lies between the look and the socket."""


class CallTwilio:
    """Calls only while the lease outlives the call, and repeats only what surely was not sent."""

    def __init__(
        self,
        journal: Journal,
        client: TwilioClient,
        ownership: Ownership,
        breaker: Breaker,
        retry: RetryPolicy,
        *,
        callback_url: str,
        secret: str,
        lease_seconds: float,
    ) -> None:
        self._journal = journal
        self._client = client
        self._ownership = ownership
        self._breaker = breaker
        self._retry = retry
        self._callback_url = callback_url
        self._secret = secret
        self._lease_seconds = lease_seconds

    async def send_part(self, thread: str, cause: Event, reply: Reply, part: int, attempt: str) -> View:
        """Send one part under an attempt that the fold granted, and record what came of it."""
        tries = 0
        while True:
            await self._lease_outlives_call(thread, cause, reply, part, attempt)
            result = await self._create(thread, reply.parts[part].text, attempt)
            tries += 1
            match result:
                case Accepted(sid, status):
                    self._breaker.succeeded()
                    sent = MessageSent(reply=reply.id, part=part, attempt=attempt, sid=sid, status=status)
                    return await self._journal.record(sent, cause=cause, thread=thread)
                case Unknown(reason):
                    log.warning("send.unknown", thread=thread_hash(thread), attempt=attempt, reason=reason)
                    return await self._journal.look(thread)
                case Refused(http_status, code):
                    verdict = classify_response(http_status, code)
                    if verdict.outcome in _SETTLED_BY_ANSWER:
                        return await self._refused(thread, cause, reply, part, attempt, verdict, code)
                    pause = self._pause(tries)
                case TooManyRequests(_, retry_after):
                    pause = max(retry_after or 0.0, self._pause(tries))
                case NeverConnected():
                    pause = self._pause(tries)
            log.warning("send.postponed", thread=thread_hash(thread), attempt=attempt, answer=type(result).__name__)
            await asyncio.sleep(pause)
            view = await self._journal.look(thread)
            if _is_cut(view, reply.id):
                cancelled = SendCancelled(reply=reply.id, part=part, attempt=attempt)
                return await self._journal.record(cancelled, cause=cause, thread=thread)

    async def _create(self, thread: str, body: str, attempt: str) -> SendResult:
        sender, contact = addresses_of(thread)
        callback = f"{self._callback_url}?{urlencode({'thread': seal(thread, self._secret), 'attempt': attempt})}"
        return await self._client.create_message(to=contact, from_=sender, body=body, status_callback=callback)

    async def _refused(
        self, thread: str, cause: Event, reply: Reply, part: int, attempt: str, verdict: Verdict, code: int | None
    ) -> View:
        if verdict.outcome is Outcome.FATAL:
            self._breaker.trip("Twilio refuses the credentials: check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
            cancelled = SendCancelled(reply=reply.id, part=part, attempt=attempt)
            return await self._journal.record(cancelled, cause=cause, thread=thread)
        reason = verdict.rejection or Rejection.UNKNOWN
        rejected = SendRejected(reply=reply.id, part=part, attempt=attempt, code=code, reason=reason)
        return await self._journal.record(rejected, cause=cause, thread=thread)

    async def _lease_outlives_call(self, thread: str, cause: Event, reply: Reply, part: int, attempt: str) -> None:
        """Wait for the next renewal if need be. A lease that is not renewed leaves the part to the next owner."""
        partition = self._journal.partition_of(thread)
        needed = self._client.timeout_seconds + LEASE_MARGIN_SECONDS
        deadline = _now() + self._lease_seconds
        while self._ownership.remaining_seconds(partition) < needed:
            if _now() > deadline:
                cancelled = SendCancelled(reply=reply.id, part=part, attempt=attempt)
                await self._journal.record(cancelled, cause=cause, thread=thread)
                raise LeaseLost(f"partition {partition}")
            await asyncio.sleep(self._lease_seconds / 20)

    def _pause(self, tries: int) -> float:
        return self._retry.pause_seconds(tries, random.random())  # noqa: S311 - jitter


_SETTLED_BY_ANSWER = frozenset({Outcome.REJECTED, Outcome.FATAL})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_cut(view: View, reply_id: str) -> bool:
    """Whether somebody took over or closed while we waited to call again."""
    reply = view.state.reply(reply_id) if view.state else None
    return reply is None or reply.is_cut
