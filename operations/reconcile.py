"""A person asks for what Twilio holds and the log never saw, between two moments."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handlers.listed_inbound import ListedInbound
from handlers.reconciler import LEFT_TO_THE_WEBHOOK, MediaUntold, Reconciler
from handlers.twilio_client import TwilioClient
from handlers.twilio_inbound import Period
from operations.connection import FOLD_SECONDS, Connection
from operations.errors import ActRefused

WINDOW = timedelta(hours=24)
"""WhatsApp's: what is older than that can only be told of."""

MOST_PAGES = 10_000
"""Of one address: two million messages."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A message that never reached the log, until now."""

    sid: str
    written_at: datetime
    is_appended: bool
    is_too_late: bool
    """It is older than WhatsApp's window: the sender refuses an answer to it, unless the contact wrote since."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """
    What came of it. `held` counts what Twilio holds for the period; `missed` are the oldest first.

    `unchecked` were left out, since the read model is behind; `untold`, since Twilio does not tell the files of them, or of what
    the same contact wrote before. `unreadable` cannot be messages to us. A list that was too long, or is circular, was compared
    back to `cut_at` only.
    """

    senders: tuple[str, ...]
    since: datetime
    until: datetime
    held: int
    missed: tuple[Missed, ...]
    unchecked: int
    unreadable: int
    cut_at: datetime | None
    is_circular: bool = False
    untold: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be missing any more."""
        return not self.unchecked and not self.untold and self.cut_at is None


@dataclass(frozen=True, slots=True)
class Watching:
    """Who is told how far it is: of each page how many were listed by then, and of each append how many of how many."""

    listed: Callable[[int], None] = lambda _: None
    appended: Callable[[int, int], None] = lambda _, __: None


async def reconcile(
    connection: Connection,
    twilio: TwilioClient,
    *,
    account: str,
    sender: str,
    since: datetime,
    until: datetime | None = None,
    is_rehearsal: bool = False,
    watching: Watching | None = None,
    fold_seconds: float = FOLD_SECONDS,
) -> Reconciliation:
    """
    Compare what Twilio holds since then with the log, and append what is missing; in a rehearsal, only tell it.

    Until a minute ago, unless `until` says otherwise: what is younger may still come by the webhook, which knows more of it.
    Raises `ActRefused` where the period is empty, and what `Reconciler.compare` raises.
    """
    watching = watching or Watching()
    await connection.join()
    now = datetime.fromtimestamp(await connection.log.time_ms() / 1000, UTC)
    period = Period(since, until or now - LEFT_TO_THE_WEBHOOK)
    if period.since >= period.until:
        raise ActRefused("nothing lies between these two moments; what is younger than a minute is left to the webhook")
    reconciler = Reconciler(
        connection.log,
        connection.database,
        twilio,
        account=account,
        sender=sender,
        most_pages=MOST_PAGES,
        fold_seconds=fold_seconds,
    )
    senders = await reconciler.senders()
    found = await reconciler.compare(period, senders, on_page=watching.listed)
    appended: set[str] = set()
    with suppress(MediaUntold):  # those that were not appended say so
        async for each, _ in reconciler.append(() if is_rehearsal else found.missed):
            appended.add(each.sid)
            watching.appended(len(appended), len(found.missed))
    return Reconciliation(
        senders=tuple(senders),
        since=period.since,
        until=period.until,
        held=found.held,
        missed=tuple(_told(each, now, is_appended=each.sid in appended) for each in found.missed),
        unchecked=found.unchecked,
        unreadable=found.unreadable,
        cut_at=found.cut_at,
        is_circular=found.is_circular,
        untold=0 if is_rehearsal else len(found.missed) - len(appended),
    )


def _told(each: ListedInbound, now: datetime, *, is_appended: bool) -> Missed:
    return Missed(each.sid, each.written_at, is_appended, is_too_late=now - each.written_at >= WINDOW)
