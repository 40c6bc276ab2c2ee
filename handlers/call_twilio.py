"""One granted attempt: one call to Twilio, and what came of it in the log."""

import asyncio
import random
from dataclasses import dataclass
from urllib.parse import urlencode

from handlers.breaker import Breaker
from handlers.decide import next_send
from handlers.error_table import Outcome, Verdict, classify_response
from handlers.journal import Journal
from handlers.measured import observe_waiting
from handlers.spans import called
from handlers.twilio_answers import DENIED, Accepted, NeverConnected, Refused, SendResult, TooManyRequests, Unknown
from handlers.twilio_client import TwilioClient
from handlers.waiting import wait_for_step
from projections.changes import SENDER
from projections.reader import View
from projections.state import Reply
from streams.crash_points import reached
from streams.errors import LeaseLost
from streams.events import AttemptFailed, Event, MessageSent, Rejection, SendCancelled, SendDisproved, SendRejected
from streams.log import Ownership
from streams.partitions import addresses_of
from streams.retry import RetryPolicy
from streams.thread_token import seal
from telemetry import log
from tracing import address_query

LEASE_MARGIN_SECONDS = 0.2
"""How much longer than the call's limit the lease must last: for what lies between the look and the socket."""

LONGEST_RETRY_AFTER_SECONDS = 900.0
"""Who is told to wait longer asks again after this."""

THROTTLED_STEPS = 3
"""A pause for who wrote too fast is as long as after so many more tries: WhatsApp's pair rate is one message in six seconds."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An attempt that the fold granted. `begun_at` is the loop's time from before its start was written."""

    thread: str
    cause: Event
    reply: Reply
    part: int
    attempt: str
    begun_at: float


class CallTwilio:
    """
    Calls only while the lease outlives the call, and only within `lease_seconds` of the start of the attempt.

    So whoever finds that start without an outcome knows from its date when the call has ended at the latest, and when its last
    byte was sent. An attempt is one call: before a pause it is given up, so that nothing is held meanwhile, and after it all is
    decided anew.
    """

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

    def require_staying(self, thread: str) -> None:
        """Raises `LeaseLost` where the thread's partition is being given back: a call that is cut off costs a whole settling."""
        partition = self._journal.partition_of(thread)
        if self._ownership.is_leaving(partition):
            raise LeaseLost(f"partition {partition} is being given back")

    async def send(self, grant: Grant) -> View:
        """
        Send the part and record what came of it, if anybody can tell. Raises `LeaseLost` where it must be left to another.

        Whatever is tried again counts towards a pause of the group; only an unknown outcome may be the reply's own fault.
        """
        if not await self._may_call(grant):
            return await self._cancelled(grant)
        reached("sender.calling")
        begun = self._breaker.begin()
        result = await self._create(grant)
        reached("sender.called")
        match result:
            case Accepted(sid, status):
                self._breaker.succeeded(grant.reply.event)
                sent = MessageSent(reply=grant.reply.id, part=grant.part, attempt=grant.attempt, sid=sid, status=status)
                view = await self._journal.record(sent, cause=grant.cause, thread=grant.thread)
                observe_waiting(grant.reply, grant.part, view)
                return view
            case Unknown(reason):
                self._breaker.failed(reason, grant.reply.event, grant.thread, begun)
                log.warning("send.unknown", attempt=grant.attempt, reason=reason)
                failed = AttemptFailed(event=grant.reply.event, group=SENDER, error=reason)
                return await self._journal.record(failed, cause=grant.cause, thread=grant.thread)
            case TooManyRequests(code, retry_after):
                self._breaker.failed("too many requests", grant.reply.event, grant.thread)
                pause = max(min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS), self._pause(grant))
                return await self._later(grant, code, "too many requests", pause)
            case NeverConnected(reason):
                self._breaker.failed(reason, grant.reply.event, grant.thread)
                return await self._later(grant, None, reason, self._pause(grant))
            case Refused(http_status, code):
                return await self._refused(grant, code, classify_response(http_status, code))

    @called
    async def _create(self, grant: Grant) -> SendResult:
        sender, contact = addresses_of(grant.thread)
        query = urlencode({"thread": seal(grant.thread, self._secret), "attempt": grant.attempt, **address_query()})
        body = grant.reply.parts[grant.part].text
        callback = f"{self._callback_url}?{query}"
        return await self._client.create_message(to=contact, from_=sender, body=body, status_callback=callback)

    async def _refused(self, grant: Grant, code: int | None, verdict: Verdict) -> View:
        if verdict.outcome is Outcome.FATAL:
            self._breaker.trip(DENIED)
            return await self._not_sent(grant, code)
        if verdict.outcome is not Outcome.REJECTED:
            self._breaker.failed(verdict.outcome, grant.reply.event, grant.thread)
            is_throttled = verdict.outcome is Outcome.THROTTLED
            return await self._later(grant, code, verdict.outcome, self._pause(grant, THROTTLED_STEPS if is_throttled else 0))
        self._breaker.succeeded(grant.reply.event)
        reason = verdict.rejection or Rejection.UNKNOWN
        rejected = SendRejected(reply=grant.reply.id, part=grant.part, attempt=grant.attempt, code=code, reason=reason)
        return await self._journal.record(rejected, cause=grant.cause, thread=grant.thread)

    async def _later(self, grant: Grant, code: int | None, reason: str, pause: float) -> View:
        log.warning("send.postponed", attempt=grant.attempt, reason=reason, code=code, seconds=round(pause, 1))
        view = await self._not_sent(grant, code)
        return await wait_for_step(self._journal, grant.thread, next_send(view.state, view.log_time_ms), pause)

    async def _not_sent(self, grant: Grant, code: int | None) -> View:
        """Twilio's own answer is the proof."""
        disproved = SendDisproved(reply=grant.reply.id, part=grant.part, attempt=grant.attempt, code=code)
        return await self._journal.record(disproved, cause=grant.cause, thread=grant.thread)

    async def _may_call(self, grant: Grant) -> bool:
        """Wait for the next renewal of the lease if need be."""
        deadline = grant.begun_at + self._lease_seconds
        while _now() < deadline:
            if self._lease_outlives_call(grant):
                return True
            await asyncio.sleep(self._lease_seconds / 20)
        return False

    async def _cancelled(self, grant: Grant) -> View:
        cancelled = SendCancelled(reply=grant.reply.id, part=grant.part, attempt=grant.attempt)
        view = await self._journal.record(cancelled, cause=grant.cause, thread=grant.thread)
        if not self._lease_outlives_call(grant):
            raise LeaseLost(f"partition {self._journal.partition_of(grant.thread)}")
        return view

    def _lease_outlives_call(self, grant: Grant) -> bool:
        partition = self._journal.partition_of(grant.thread)
        return self._ownership.remaining_seconds(partition) >= self._client.timeout_seconds + LEASE_MARGIN_SECONDS

    def _pause(self, grant: Grant, steps: int = 0) -> float:
        tries = len(grant.reply.parts[grant.part].attempts) + steps
        return self._retry.pause_seconds(tries, random.random())  # noqa: S311 - jitter


def _now() -> float:
    return asyncio.get_running_loop().time()
