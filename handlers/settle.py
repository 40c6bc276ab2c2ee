"""
An attempt without an outcome: did Twilio take the message or not?

Proof of sending is a callback that carried our attempt, or a listed message to this contact with this body that nobody else
accounts for. Absence is believed only after a grace period, and only where the settings allow it.
"""

import asyncio
from collections.abc import Sequence

from handlers.decide import SettleSend
from handlers.journal import Journal
from handlers.parts import normalise
from handlers.twilio_answers import ListedMessage, TwilioDenied, TwilioRefused, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from projections.reader import View
from streams.events import Event, MessageSent, SendDisproved, SendUnconfirmed
from streams.partitions import addresses_of
from telemetry import log, thread_hash

CLOCK_SKEW_MS = 5 * 60 * 1000
"""How far Twilio's clock and the log's may differ."""

FIRST_LISTING_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0


class Settler:
    """Looks for proof until there is some, or until absence may count."""

    def __init__(self, journal: Journal, client: TwilioClient, *, grace_seconds: float, absence_is_proof: bool) -> None:
        self._journal = journal
        self._client = client
        self._grace_ms = grace_seconds * 1000
        self._absence_is_proof = absence_is_proof

    async def settle(self, thread: str, cause: Event, step: SettleSend) -> View:
        """Record what came of the attempt, or return as soon as somebody else did."""
        pause = FIRST_LISTING_SECONDS
        log.info("send.settling", thread=thread_hash(thread), attempt=step.attempt.id)
        while True:
            is_late = await self._journal.time_ms() - step.attempt.started_at_ms > self._grace_ms
            listing = await self._list(thread, step)
            view = await self._journal.look(thread)
            if _is_told(view, step):
                return view
            sid = None if listing is None else await self._found(listing, step)
            if sid:
                sent = MessageSent(reply=step.reply.id, part=step.part, attempt=step.attempt.id, sid=sid)
                return await self._journal.record(sent, cause=cause, thread=thread)
            if is_late and listing is not None:
                return await self._absent(thread, cause, step)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _absent(self, thread: str, cause: Event, step: SettleSend) -> View:
        """One complete listing, begun after the grace period, does not show it."""
        identity = {"reply": step.reply.id, "part": step.part, "attempt": step.attempt.id}
        outcome = SendDisproved(**identity) if self._absence_is_proof else SendUnconfirmed(**identity)
        log.warning("send.not_found", thread=thread_hash(thread), attempt=step.attempt.id, outcome=outcome.name)
        return await self._journal.record(outcome, cause=cause, thread=thread)

    async def _list(self, thread: str, step: SettleSend) -> Sequence[ListedMessage] | None:
        sender, contact = addresses_of(thread)
        since_ms = step.attempt.started_at_ms - CLOCK_SKEW_MS
        try:
            return await self._client.list_messages(to=contact, from_=sender, since_ms=since_ms)
        except (TwilioUnavailable, TwilioRefused, TwilioDenied) as error:
            log.warning("send.listing_failed", thread=thread_hash(thread), error=str(error))
            return None

    async def _found(self, listing: Sequence[ListedMessage], step: SettleSend) -> str | None:
        body = normalise(step.reply.parts[step.part].text)
        alike = [each for each in listing if each.direction.startswith("outbound") and normalise(each.body) == body]
        if not alike:
            return None
        accounted = await self._journal.accounted_sids([each.sid for each in alike])
        unclaimed = [each for each in alike if each.sid not in accounted]
        return min(unclaimed, key=lambda each: (each.created_at_ms, each.sid)).sid if unclaimed else None


def _is_told(view: View, step: SettleSend) -> bool:
    """Whether a callback proved it meanwhile, or the attempt has an outcome."""
    reply = view.state.reply(step.reply.id) if view.state else None
    holder = reply.parts[step.part].holder if reply else None
    return holder is None or holder.id != step.attempt.id or holder.proof_sid is not None
