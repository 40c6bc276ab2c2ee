"""
What Twilio holds and the log never saw: found by comparing Twilio's list with the read model, and appended.

A webhook that was down for an hour loses nothing by it. Whatever runs twice, or beside the webhook, is harmless: a sid counts
once. What the read model knows is not appended again; it is believed once it has come to the head of the log. Nor is what was
appended here, as long as the log still has it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handlers.listed_inbound import ListedInbound, event_of
from handlers.twilio_answers import TwilioForbidden, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from handlers.twilio_inbound import Period, TwilioInbound
from projections.database import Database, sql
from projections.lateness import RECONCILER
from projections.progress import Progress
from streams.crash_points import reached
from streams.envelope import new_event
from streams.events import Event
from streams.log import Appended, EventLog
from streams.partitions import partition_of_subject
from telemetry import log, thread_hash
from tracing import traceparent

LEFT_TO_THE_WEBHOOK = timedelta(minutes=1)
"""What is younger may still come by a webhook, which knows more of it: Twilio tries for 15 s, and then its fallback URL."""

FOLD_SECONDS = 10.0
"""How long the projector may take to come to the head of the log; what it has not come to is left for the next time."""

MOST_MEDIA_FAILURES = 10
"""When Twilio could not tell the files of so many messages, it is not asked for files any more in this look."""

REMEMBERED = 100_000
"""How many appended sids are remembered, lest what the fold cannot fold is appended for ever."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    How Twilio's list and the log differ.

    `held` counts what contacts wrote in the period. `missed` never reached the log, the oldest first. `unchecked` may have, but
    the read model has not come to them. `unreadable` cannot be messages to us. Where a list had more pages than are read, it was
    compared back to `cut_at` only; `is_circular` where it led back to a page of itself there.
    """

    held: int
    missed: tuple[ListedInbound, ...]
    unchecked: int
    unreadable: int
    cut_at: datetime | None
    is_circular: bool


class MediaUntold(TwilioUnavailable):
    """Twilio does not tell the files of some messages; all others were appended."""


@dataclass(slots=True)
class _Found:
    """What has been listed so far; by sid, since pages shift when a message arrives meanwhile."""

    sids: set[str]
    unknown: dict[str, ListedInbound]
    unreadable: int = 0
    cut_at: datetime | None = None
    is_circular: bool = False


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a message was appended, and as which event."""

    epoch: int
    at: Appended
    event: str


class Reconciler:
    """Compares and appends; it keeps nothing but where it has appended itself."""

    def __init__(
        self,
        event_log: EventLog,
        database: Database,
        twilio: TwilioClient,
        *,
        account: str,
        sender: str,
        most_pages: int,
        fold_seconds: float = FOLD_SECONDS,
    ) -> None:
        self._log = event_log
        self._database = database
        self._inbound = TwilioInbound(twilio, account=account, most_pages=most_pages)
        self._account = account
        self._sender = sender
        self._fold_seconds = fold_seconds
        self._appended: dict[str, _Standing] = {}

    async def senders(self) -> Sequence[str]:
        """Our addresses: that of the settings, and each to which anybody ever wrote."""
        async with self._database.transaction(readonly=True) as connection:
            known = [row["sender"] for row in await connection.fetch(sql("senders"))]
        return sorted({self._sender, *known})

    async def archived_since(self) -> datetime | None:
        """When the oldest event of the archive was appended; None where nothing is archived. Raises `ReadModelUnavailable`."""
        async with self._database.transaction(readonly=True) as connection:
            oldest: datetime | None = await connection.fetchval(sql("archive_began"))
        return oldest

    async def compare(
        self, period: Period, senders: Iterable[str], *, on_page: Callable[[int], None] = lambda _: None
    ) -> Comparison:
        """
        List what was written to these addresses, and look which of it the log never saw. Nothing is written.

        `on_page` is told how many were listed by then. Raises `TwilioUnavailable`, `TwilioRefused`, `TwilioDenied`,
        `ReadModelUnavailable` and `LogUnavailable`.
        """
        found = _Found(set(), {})
        now = datetime.fromtimestamp(await self._log.time_ms() / 1000, UTC)
        for sender in senders:
            await self._list(sender, period, now, found, on_page)
        unknown = list(found.unknown.values())[::-1]
        unknown.sort(key=lambda each: each.written_at)  # stable: of the same second, the one that was listed last came first
        checked = await self._caught_up({self._partition_of(each) for each in unknown})
        checkable = [each for each in unknown if self._partition_of(each) in checked]
        known = await self._known([each.sid for each in checkable])
        missed = [each for each in checkable if each.sid not in known and not await self._stands(each.sid)]
        reached("reconciler.compared")
        unchecked = len(unknown) - len(checkable)
        return Comparison(len(found.sids), tuple(missed), unchecked, found.unreadable, found.cut_at, found.is_circular)

    async def append(self, missed: Iterable[ListedInbound]) -> AsyncIterator[tuple[ListedInbound, Appended]]:
        """
        Append one message after the other, as the webhook would have, with the time when it was written.

        One whose files Twilio does not tell waits for a later look, `MEDIA_TRIES` of them at most, and so does what the same
        contact wrote after it. Raises `MediaUntold` for these when all others are appended.
        """
        waiting: dict[str, int] = {}
        failures = 0
        for each in missed:
            is_asked = not each.has_media or failures < MOST_MEDIA_FAILURES
            if each.thread in waiting or not is_asked:
                waiting[each.thread] = waiting.get(each.thread, 0) + 1
                continue
            try:
                event = await self._event_of(each)
            except (TwilioUnavailable, TwilioForbidden):
                failures += 1
                waiting[each.thread] = 1
                continue
            reached("reconciler.appending")
            appended = await self._log.append(event)
            reached("reconciler.appended")
            self._remember(each.sid, _Standing(self._log.epoch, appended, event.id))
            log.info(
                "message.fetched",
                event_id=event.id,
                correlation_id=event.correlation_id,
                thread_hash=thread_hash(each.thread),
                partition=appended.partition,
                owner=event.owner,
            )
            yield each, appended
        if waiting:
            raise MediaUntold(f"{sum(waiting.values())} messages wait, since the files of {failures} are not told")

    async def _list(self, sender: str, period: Period, now: datetime, found: _Found, on_page: Callable[[int], None]) -> None:
        async with aclosing(self._inbound.pages(sender, period, now)) as pages:
            async for page in pages:
                found.unreadable += page.unreadable
                if page.cut_at:
                    found.cut_at = max(page.cut_at, found.cut_at or page.cut_at)
                found.is_circular |= page.is_circular
                await self._note(page.messages, found)
                on_page(len(found.sids))

    async def _note(self, messages: Sequence[ListedInbound], found: _Found) -> None:
        found.sids.update(each.sid for each in messages)
        known = await self._known([each.sid for each in messages])
        found.unknown.update({each.sid: each for each in messages if each.sid not in known})

    async def _known(self, sids: Collection[str]) -> set[str]:
        if not sids:
            return set()
        async with self._database.transaction(readonly=True) as connection:
            return {row["id"] for row in await connection.fetch(sql("known_inbound"), list(sids))}

    async def _caught_up(self, partitions: Collection[int]) -> set[int]:
        """Those of these partitions that are projected up to where the log ends now."""
        if not partitions:
            return set()
        heads, progress = await self._log.heads(), Progress(self._database)

        async def comes_to(partition: int) -> bool:
            try:
                async with asyncio.timeout(self._fold_seconds):
                    await progress.reached(partition, heads[partition])
            except TimeoutError:
                return False
            return True

        are_there = await asyncio.gather(*(comes_to(partition) for partition in partitions))
        return {partition for partition, is_there in zip(partitions, are_there, strict=True) if is_there}

    async def _event_of(self, each: ListedInbound) -> Event:
        media = await self._inbound.media_of(each) if each.has_media else ()
        data = event_of(each, media, self._account)
        event = new_event(data, subject=each.thread, source=RECONCILER, traceparent=traceparent())
        return event.model_copy(update={"time": each.written_at})

    async def _stands(self, sid: str) -> bool:
        """Whether we appended it and the log still has it: it may have lost its tail before anybody folded that."""
        standing = self._appended.get(sid)
        if standing is None or standing.epoch != self._log.epoch:
            return False
        position = standing.at.position
        records = await self._log.read({standing.at.partition: position - 1}, limit=1)
        return any(record.position == position and standing.event.encode() in record.value for record in records)

    def _remember(self, sid: str, standing: _Standing) -> None:
        self._inbound.taken(sid)
        self._appended[sid] = standing
        if len(self._appended) > REMEMBERED:
            self._appended.pop(next(iter(self._appended)))

    def _partition_of(self, each: ListedInbound) -> int:
        return partition_of_subject(each.thread, self._log.partitions)
