"""What contacts wrote to us, as Twilio holds it: its list of messages, page by page, and their files."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from handlers.listed_inbound import ListedInbound, files_of, read_inbound, sid_of
from handlers.twilio_answers import CircularList, TwilioForbidden, TwilioRefused, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from telemetry import log
from webhook.forms import MalformedForm

MEDIA_TRIES = 3
"""After so many tries in vain a message is taken without its files: one of which Twilio cannot tell must not wait for ever."""

SKEW = timedelta(minutes=5)
"""What Twilio dates later than that from now, by the log's clock, is no matter of clocks that differ."""

MOST_TOLD = 100_000
"""How many odd entries are told of; each once, since the same list is read again and again."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on and before `until`, by Twilio's clock."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """
    Messages of the period, and how many entries cannot be messages to us.

    `cut_at` where more pages are not read; `is_circular` where they cannot be, since the list leads back to a page before.
    """

    messages: Sequence[ListedInbound]
    unreadable: int = 0
    cut_at: datetime | None = None
    is_circular: bool = False


class TwilioInbound:
    """The list of one account. Both methods raise what the client raises."""

    def __init__(self, twilio: TwilioClient, *, account: str, most_pages: int) -> None:
        self._twilio = twilio
        self._account = account
        self._most_pages = most_pages
        self._media_failures: dict[str, int] = {}
        self._told: set[str] = set()

    async def pages(self, sender: str, period: Period, now: datetime) -> AsyncGenerator[Page, None]:
        """
        What was written to this address, the newest first; the first page that is wholly older is the last.

        `now` is log time, which is measured against Twilio's dates; the clock of this host has no say.
        """
        query = {"To": sender} | _sent_before(period.until, now)
        oldest, pages = period.until, 0
        async with aclosing(self._twilio.pages(query, most=self._most_pages + 1)) as listing:
            try:
                async for resources in listing:
                    if pages == self._most_pages:
                        yield Page((), cut_at=oldest)
                        return
                    pages += 1
                    messages, unreadable = self._read(resources, sender)
                    yield Page(self._within(period, messages, now), unreadable)
                    if messages and all(each.written_at < period.since for each in messages):
                        return
                    oldest = min([oldest, *(each.written_at for each in messages)])
            except CircularList:
                yield Page((), cut_at=oldest, is_circular=True)

    async def media_of(self, each: ListedInbound) -> Sequence[tuple[str, str]]:
        """
        The address and content type of each file; none of what Twilio has forgotten, or does not tell in so many tries.

        Where it tells this account nothing of the kind, an operator can mend that: such a file waits as if Twilio were away.
        """
        try:
            entries = await self._twilio.media_of(each.sid)
        except (TwilioUnavailable, TwilioForbidden) as error:
            failures = self._media_failures[each.sid] = self._media_failures.get(each.sid, 0) + 1
            log.warning("media.not_listed", sid=each.sid, reason=str(error), tries=failures, of=MEDIA_TRIES)
            if failures < MEDIA_TRIES:
                raise
            return ()
        except TwilioRefused as error:
            log.warning("media.refused", sid=each.sid, reason=str(error))
            return ()
        return [(self._twilio.media_url(each.sid, sid), content_type) for sid, content_type in files_of(entries)]

    def taken(self, sid: str) -> None:
        """Nobody asks for its files any more."""
        self._media_failures.pop(sid, None)

    def _read(self, resources: Sequence[Any], sender: str) -> tuple[list[ListedInbound], int]:
        messages, unreadable = [], 0
        for resource in resources:
            try:
                listed = read_inbound(resource, sender=sender, account=self._account)
            except MalformedForm as error:
                unreadable += 1
                self._tell_unreadable(resource, error)
            else:
                messages += [listed] if listed else []
        return messages, unreadable

    def _within(self, period: Period, messages: Sequence[ListedInbound], now: datetime) -> list[ListedInbound]:
        """
        Those that were written in the period, and where that reaches to the present also those that Twilio dates in the future.

        Nobody wrote in the future: left out until then, they might never be answered. The fold counts them as written now.
        """
        reaches_to_now, within = period.until > now - SKEW, []
        for each in messages:
            is_ahead = reaches_to_now and each.written_at > now + SKEW
            if is_ahead:
                self._tell_ahead(each)
            if is_ahead or period.since <= each.written_at < period.until:
                within.append(each)
        return within

    def _tell_ahead(self, each: ListedInbound) -> None:
        if self._is_news(each.sid):
            log.warning("listed.dated_ahead", sid=each.sid, dated=each.written_at.isoformat())

    def _tell_unreadable(self, resource: Any, error: MalformedForm) -> None:
        sid = sid_of(resource)
        if self._is_news(sid or ""):
            log.warning("listed.unreadable", sid=sid, reason=error.reason, fields=error.fields)

    def _is_news(self, sid: str) -> bool:
        is_news = sid not in self._told and len(self._told) < MOST_TOLD
        if is_news:
            self._told.add(sid)
        return is_news


def _sent_before(until: datetime, now: datetime) -> dict[str, str]:
    """Spares the pages of the days since. Twilio filters by whole days: a day more than is asked for leaves nothing out."""
    day_after = (until.astimezone(UTC) + timedelta(days=2)).date()
    return {"DateSent<": day_after.isoformat()} if day_after < now.date() else {}
