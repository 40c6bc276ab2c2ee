"""
The reconciler beside the clock: now and then it fetches what Twilio holds and no webhook brought.

Nothing is remembered but in this process. The first look goes back far enough to cover whatever happened before, and each
later one to a while before the last that came to an end, or to the oldest message that that one fetched: see
docs/decisions/0011.
"""

import random
import time
from datetime import UTC, datetime, timedelta

import metrics
from handlers.reconciler import LEFT_TO_THE_WEBHOOK, Comparison, Reconciler
from handlers.regularly import regularly
from handlers.twilio_answers import CircularList
from handlers.twilio_client import TWILIO_API_URL, TwilioClient
from handlers.twilio_inbound import Period
from projections.database import Database
from settings import DEVELOPMENT_ACCOUNT, Settings
from streams.errors import ReadModelUnavailable
from streams.log import EventLog
from streams.partitions import START
from streams.retry import RetryPolicy
from telemetry import log
from tracing import traced

OVERLAP = timedelta(hours=1)
"""How far behind the last whole comparison the next one begins: Twilio's list and its clock may be late."""

FIRST_LOOK = timedelta(hours=24)
"""As long as WhatsApp's window: what is older cannot be answered any more."""

MOST_PAUSE_SECONDS = 900.0
"""While Twilio does not answer, or refuses, the pauses double up to this."""

MOST_PAGES = 100
"""Of one address at once: 20,000 messages."""


PAGE_SECONDS = 20.0
"""Limit of one page."""


class Reconciling:
    """Look at the log once with `look_back` before anything new is appended to it; then reconcile as often as `pause` says."""

    def __init__(self, reconciler: Reconciler, event_log: EventLog, *, every_seconds: float) -> None:
        self._reconciler = reconciler
        self._log = event_log
        self._pauses = RetryPolicy(base_seconds=2 * every_seconds, max_seconds=max(every_seconds, MOST_PAUSE_SECONDS))
        self._every_seconds = every_seconds
        self._failures = 0
        self._completed_at = time.monotonic()
        self._next: datetime | None = None
        self._began = datetime.max.replace(tzinfo=UTC)

    @property
    def age_seconds(self) -> float:
        """Since the last comparison that came to an end; before the first, since this process began."""
        return time.monotonic() - self._completed_at

    async def run(self) -> None:
        """Reconcile for ever; what cannot be done now is told once, and done later."""
        await regularly("cannot reconcile with Twilio", self.reconcile, self.pause)

    async def look_back(self) -> datetime:
        """
        Find out how far the first look goes back: a day, or to where the log fell silent if that is longer ago.

        The quietest partition tells, since every one is ticked: a webhook that is up again already fills some of them. It never
        goes back behind the second (so Twilio dates) of the log's first entry: what came before was not ours to answer. Where
        the archive begins earlier, the log was emptied, and `reconcile` goes by the archive. Raises `LogUnavailable`.
        """
        wanted = await self._first_look()
        return max(self._began, wanted)

    @traced("reconcile")
    async def reconcile(self) -> None:
        """Compare, and append what was missed. Raises what either raises, and `ReadModelUnavailable` where it is behind."""
        self._failures += 1
        await self._log.join()  # a repair may have begun a new generation
        since = await self._since()
        now = await self._now()
        senders = await self._reconciler.senders()
        found = await self._reconciler.compare(Period(since, now - LEFT_TO_THE_WEBHOOK), senders)
        await self._append(found)
        if found.unchecked:
            raise ReadModelUnavailable(f"{found.unchecked} messages wait for the projector, which is behind")
        if found.is_circular and found.cut_at:
            raise CircularList(f"list: it goes in a circle; compared back to {found.cut_at.isoformat()} only")
        if found.cut_at:
            log.warning("list.cut", compared_since=found.cut_at.isoformat(), remedy="prosa reconcile --since")
        self._next = min([now - OVERLAP, *(each.written_at for each in found.missed)])  # see what was fetched folded
        self._completed_at = time.monotonic()
        self._failures = 0

    async def _append(self, found: Comparison) -> None:
        appended = 0
        try:
            async for _ in self._reconciler.append(found.missed):
                metrics.RECONCILED_MESSAGES.of().inc()
                appended += 1
        finally:
            if appended:
                log.warning("messages.fetched", messages=appended, held=found.held, reason="no webhook had brought them")

    def pause(self, _: float) -> float:
        """Seconds until the next look; longer after each failure in a row."""
        if not self._failures:
            return self._every_seconds
        return self._pauses.pause_seconds(self._failures, random.random())  # noqa: S311 - jitter

    async def _since(self) -> datetime:
        """Where the next look begins, by now: an archive that begins before the log shows that the log was emptied."""
        wanted = self._next or await self._first_look()
        if archived_since := await self._reconciler.archived_since():
            self._began = min(self._began, archived_since.replace(microsecond=0))
        return max(self._began, wanted)

    async def _first_look(self) -> datetime:
        heads = await self._log.heads()
        now = await self._now()
        first = await self._log.read(dict.fromkeys(heads, START), limit=1)
        last = await self._log.read({each: head - 1 for each, head in heads.items() if head > START}, limit=1)
        self._began = min((_moment(record.appended_at_ms) for record in first), default=now).replace(microsecond=0)
        silent_since = min((_moment(record.appended_at_ms) for record in last), default=now)
        self._next = wanted = min(now - FIRST_LOOK, silent_since - OVERLAP)
        return wanted

    async def _now(self) -> datetime:
        return _moment(await self._log.time_ms())


def patient_twilio_client(settings: Settings) -> TwilioClient:
    """Our calls to Twilio where no lease waits for them: a page of a long list may take a while."""
    return TwilioClient(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token[0].get_secret_value(),
        api_url=settings.twilio_api_url,
        timeout_seconds=max(settings.twilio_timeout_seconds, PAGE_SECONDS),
    )


def is_configured(settings: Settings) -> bool:
    """Whether there is anybody to ask: nobody at Twilio knows the account that stands for none."""
    return settings.twilio_account_sid != DEVELOPMENT_ACCOUNT or settings.twilio_api_url != TWILIO_API_URL


def reconciling_of(settings: Settings, event_log: EventLog, database: Database, twilio: TwilioClient) -> Reconciling | None:
    """As the settings want it; None where they switch it off."""
    if not settings.reconcile_seconds or not is_configured(settings):
        return None
    reconciler = Reconciler(
        event_log,
        database,
        twilio,
        account=settings.twilio_account_sid,
        sender=settings.twilio_sender,
        most_pages=MOST_PAGES,
    )
    return Reconciling(reconciler, event_log, every_seconds=settings.reconcile_seconds)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
