"""
An attempt without an outcome: did Twilio take the message or not?

Proof of sending is a callback that carried our attempt, or a listed message to this contact with this body that nobody else
accounts for. A listed message proves one attempt only: where another of the thread is in doubt with the same words, as many must
be listed as are in doubt. Absence is believed only after a grace period, and only where the settings allow it.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum, auto

import metrics
from handlers.alone import waiting
from handlers.breaker import Breaker
from handlers.decide import SettleSend, next_send, rivals_of
from handlers.journal import Journal
from handlers.parts import normalise
from handlers.twilio_answers import DENIED, ListedMessage, TwilioDenied, TwilioForbidden, TwilioRefused, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from projections.reader import View
from streams import leaving
from streams.crash_points import reached
from streams.events import Event, MessageSent, SendDisproved, SendUnconfirmed
from streams.outage import Outage
from streams.partitions import addresses_of
from streams.retry import RetryPolicy
from telemetry import log
from tracing import traced

CLOCK_SKEW_MS = 5 * 60 * 1000
"""How far Twilio's clock and the log's may differ."""

BETWEEN_LISTINGS = RetryPolicy(base_seconds=1.0, max_seconds=10.0)
AWAY_FACTOR = 3.0
"""How much longer the longest pause is while Twilio lists nothing at all."""

REFUSALS = 3
"""So often Twilio refuses to list for one attempt until nobody expects any more that it will tell."""

SEARCHES_KEPT = 10_000
"""What was broken off here and settled by another worker leaves behind since when it was looked for."""

_FORBIDDEN = (
    "Twilio lets this account list no messages: check TWILIO_ACCOUNT_SID, TWILIO_API_URL, and the account in Twilio's console"
)


class _Unlisted(Enum):
    """Why there is no listing."""

    AWAY = auto()
    """Nobody gets one now."""
    REFUSED = auto()
    """Twilio refuses this one."""


class Settler:
    """
    Looks for proof until there is some, or until absence may count.

    `grace_seconds` must cover how late the call may have begun, how long it may have taken, and how long Twilio may need to list
    a message, which includes how long the request may lie in the network. Absence counts only when it is over on two clocks: on
    the log's, without any development offset, since the append time of the attempt's start; and on our own monotonic one, since
    this process first looked for this attempt. The log's alone may be set forward, and with it goes every lease at once: who
    takes over then has waited for nothing, and the call may yet begin.

    While Twilio lists nothing, one thread asks for all, with growing pauses; what callbacks tell is seen all the same. So it is
    while it lets our account list nothing: nothing is lost by waiting until an operator has mended that. Where it refuses for one
    attempt alone, nobody will ever tell, and the attempt is left to a person.
    """

    def __init__(
        self,
        journal: Journal,
        client: TwilioClient,
        breaker: Breaker,
        *,
        grace_seconds: float,
        absence_is_proof: bool,
        pauses: RetryPolicy = BETWEEN_LISTINGS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._client = client
        self._breaker = breaker
        self._grace_seconds = grace_seconds
        self._absence_is_proof = absence_is_proof
        self._pauses = pauses
        self._monotonic = monotonic
        self._looking_since: OrderedDict[str, float] = OrderedDict()
        while_away = RetryPolicy(base_seconds=pauses.base_seconds, max_seconds=AWAY_FACTOR * pauses.max_seconds)
        self._outage = Outage("cannot list messages", while_away)
        self._ask_again_at = 0.0
        self._is_forbidden = False

    @traced("settle")
    async def settle(self, thread: str, cause: Event, step: SettleSend) -> View:
        """Record what came of the attempt, or return as soon as somebody else did."""
        log.info("send.settling", attempt=step.attempt.id)
        since = self._looking_for(step.attempt.id)
        with metrics.SENDS_SETTLING.of().track_inprogress():
            view = await self._look_for_proof(thread, cause, step, since)
        self._looking_since.pop(step.attempt.id, None)
        return view

    def _looking_for(self, attempt: str) -> float:
        """Since when: a search that was broken off is gone on with."""
        since = self._looking_since.setdefault(attempt, self._monotonic())
        if len(self._looking_since) > SEARCHES_KEPT:
            self._looking_since.popitem(last=False)
        return since

    async def _look_for_proof(self, thread: str, cause: Event, step: SettleSend, since: float) -> View:
        listings = refusals = 0
        while True:
            is_late = await self._is_late(step, since)
            reached("sender.listing")
            listing = await self._list(thread, step)
            reached("sender.listed")
            view = await self._journal.look(thread)
            if not _is_open(view, step):
                return view
            if not isinstance(listing, _Unlisted):
                unclaimed, rivals = await self._unclaimed(thread, listing, step), rivals_of(view.state, step)
                if len(unclaimed) > rivals:
                    return await self._sent(thread, cause, step, unclaimed[rivals])
                if is_late:
                    return await self._unproven(thread, cause, step, is_absent=not unclaimed)
            refusals += listing is _Unlisted.REFUSED
            if is_late and refusals >= REFUSALS:
                return await self._unproven(thread, cause, step, is_absent=False)
            listings += 1
            async with waiting():
                await leaving.pause(self._pauses.pause_seconds(listings, random.random()))  # noqa: S311 - jitter

    async def _is_late(self, step: SettleSend, since: float) -> bool:
        if self._monotonic() - since <= self._grace_seconds:
            return False
        return await self._journal.time_ms() - step.attempt.started_at_ms > self._grace_seconds * 1000

    async def _sent(self, thread: str, cause: Event, step: SettleSend, found: ListedMessage) -> View:
        sent = MessageSent(reply=step.reply.id, part=step.part, attempt=step.attempt.id, sid=found.sid, status=found.status)
        return await self._journal.record(sent, cause=cause, thread=thread)

    async def _unproven(self, thread: str, cause: Event, step: SettleSend, *, is_absent: bool) -> View:
        """
        Nothing is to be learnt from Twilio any more.

        It is absent where one complete listing, begun after the grace period, shows no message that might be this one.
        """
        identity = {"reply": step.reply.id, "part": step.part, "attempt": step.attempt.id}
        is_disproved = self._absence_is_proof and is_absent
        outcome = SendDisproved(**identity) if is_disproved else SendUnconfirmed(**identity)
        log.warning("send.not_found", attempt=step.attempt.id, outcome=outcome.name)
        return await self._journal.record(outcome, cause=cause, thread=thread)

    async def _list(self, thread: str, step: SettleSend) -> Sequence[ListedMessage] | _Unlisted:
        """Everything that may be ours, where Twilio can be asked now."""
        now = asyncio.get_running_loop().time()
        if now < self._ask_again_at:
            return _Unlisted.AWAY
        sender, contact = addresses_of(thread)
        since_ms = step.attempt.started_at_ms - CLOCK_SKEW_MS
        self._ask_again_at = now + self._client.timeout_seconds if self._outage.lasts else 0.0
        try:
            listing = await self._client.list_messages(to=contact, from_=sender, since_ms=since_ms)
        except (TwilioDenied, TwilioForbidden) as error:
            self._pause_group(error)
            return self._away(error)
        except TwilioUnavailable as error:
            return self._away(error)
        except TwilioRefused as error:
            log.warning("send.listing_refused", attempt=step.attempt.id, error=str(error))
            return _Unlisted.REFUSED
        self._outage.over()
        self._ask_again_at, self._is_forbidden = 0.0, False
        return listing

    def _pause_group(self, error: TwilioDenied | TwilioForbidden) -> None:
        """Once, and until a send works: it may be that only listing is forbidden."""
        if not self._is_forbidden:
            remedy = DENIED if isinstance(error, TwilioDenied) else _FORBIDDEN
            self._breaker.trip(f"{remedy} ({error})")
        self._is_forbidden = True

    def _away(self, error: Exception) -> _Unlisted:
        self._ask_again_at = asyncio.get_running_loop().time() + self._outage.failed(error)
        return _Unlisted.AWAY

    async def _unclaimed(self, thread: str, listing: Sequence[ListedMessage], step: SettleSend) -> Sequence[ListedMessage]:
        """Those that can be ours, the oldest first: an equal body that was sent before, or by another attempt, is no proof."""
        body = normalise(step.reply.parts[step.part].text)
        alike = [each for each in listing if each.direction.startswith("outbound") and normalise(each.body) == body]
        if not alike:
            return ()
        accounted = await self._journal.accounted_sids(thread, [each.sid for each in alike], apart_from=step.attempt.id)
        unclaimed = [each for each in alike if each.sid not in accounted]
        return sorted(unclaimed, key=lambda each: (each.created_at_ms, each.sid))


def _is_open(view: View, step: SettleSend) -> bool:
    """Whether nobody has told yet what came of the attempt."""
    following = next_send(view.state, view.log_time_ms)
    return isinstance(following, SettleSend) and following.attempt.id == step.attempt.id
