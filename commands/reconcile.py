"""`prosa reconcile`: what Twilio took while the webhook was away."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from commands.configured import settings_here
from commands.development_options import DATA_DIRECTORY, Directory
from commands.moments import moment
from commands.terminal import AsJson, Complaint, complaints, console, print_json

if TYPE_CHECKING:
    from operations.reconcile import Reconciliation, Watching
    from settings import Settings

SHOWN = 100
"""More are counted; `--json` has all."""

SECOND = timedelta(seconds=1)
"""Twilio dates by whole seconds: there may be more of the last one."""

Since = Annotated[str, typer.Option("--since", metavar="WHEN", help="How long ago, as 2h, or a moment in UTC: 2026-11-20T10:00.")]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Likewise.", show_default="a minute ago")]


def reconcile(
    since: Since,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what is missing, and fetch nothing.")] = False,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Fetch messages that Twilio holds and that never reached the webhook, so that they are answered.

    The clock does the same by itself, a day back at its start. What is there already is not fetched again, however often this
    runs. A message that is older than WhatsApp's 24 hours counts, and an answer to it is refused.

    Exit code 0 where nothing can be missing any more, else 1.
    """
    begin, end = moment(since, "--since"), moment(until, "--until") if until else None
    found = asyncio.run(_reconciled(settings_here(data), begin, end, is_rehearsal=dry_run))
    if as_json:
        print_json({**asdict(found), "is_whole": found.is_whole})
    else:
        for line in report(found):
            console.print(line, markup=False, soft_wrap=True)
    if not found.is_whole:
        raise typer.Exit(1)


async def _reconciled(settings: "Settings", since: datetime, until: datetime | None, *, is_rehearsal: bool) -> "Reconciliation":
    from handlers.reconciling import is_configured, patient_twilio_client
    from handlers.twilio_answers import TwilioDenied, TwilioRefused, TwilioUnavailable
    from operations.connection import connected
    from operations.reconcile import reconcile as operation

    if not is_configured(settings):
        raise Complaint("TWILIO_ACCOUNT_SID is not set; set it, or TWILIO_API_URL for a stand-in")
    try:
        async with connected(settings) as connection, patient_twilio_client(settings) as twilio:
            with _progress() as watching:
                return await operation(
                    connection,
                    twilio,
                    account=settings.twilio_account_sid,
                    sender=settings.twilio_sender,
                    since=since,
                    until=until,
                    is_rehearsal=is_rehearsal,
                    watching=watching,
                )
    except TwilioDenied as error:
        raise Complaint(f"Twilio refuses the credentials ({error}); check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN") from None
    except TwilioRefused as error:
        raise Complaint(f"Twilio refuses to list messages ({error}); check TWILIO_ACCOUNT_SID and TWILIO_API_URL") from None
    except TwilioUnavailable as error:
        raise Complaint(f"Twilio does not answer ({error}); what was fetched by then counts: run it again") from None


@contextmanager
def _progress() -> "Iterator[Watching]":
    """How far it is, for whoever watches a terminal."""
    from operations.reconcile import Watching

    if not complaints.is_terminal:
        yield Watching()
        return
    with complaints.status("asking Twilio …") as status:
        yield Watching(
            listed=lambda count: status.update(f"{count} messages listed …"),
            appended=lambda count, of: status.update(f"{count} of {of} fetched …"),
        )


def report(found: "Reconciliation") -> Iterator[str]:
    """What a person is told, line by line; never a word or an address of a contact."""
    was_fetched = any(each.is_appended for each in found.missed)
    yield f"Twilio holds {_messages(found.held)} to {', '.join(found.senders)}, {_utc(found.since)} to {_utc(found.until)} UTC."
    if not found.missed:
        if found.held:
            yield "All of them are in the log." if found.is_whole else "Of those that were compared, all are in the log."
    else:
        yield f"{len(found.missed)} never reached the log{', and are fetched now' if was_fetched else ''}:"
    for each in found.missed[:SHOWN]:
        waits = "  waits" if found.untold and not each.is_appended else ""
        yield f"  {each.sid:34}  {_utc(each.written_at)}{'  too late to be answered' if each.is_too_late else ''}{waits}"
    if len(found.missed) > SHOWN:
        yield f"  and {len(found.missed) - SHOWN} more; see them with --json"
    if found.unreadable:
        yield f"{_messages(found.unreadable)} of the list cannot be to us and were left out; log lines name them."
    if found.unchecked:
        yield f"{_messages(found.unchecked)} were left out, since the projector has not come to them. Do the handlers run?"
    if found.untold:
        yield f"{_messages(found.untold)} left to wait, since Twilio does not tell the files of it, or of one before."
        yield "Log lines name what it is. Run it again, or leave it to the clock, which takes it without files after a few tries."
    if found.cut_at and found.is_circular:
        yield f"Twilio's list goes in a circle: compared back to {_utc(found.cut_at)} only. The clock asks again, until it ends."
    elif found.cut_at:
        yield f"The list was too long: compared back to {_utc(found.cut_at)} only."
        yield f"Go on with --until {found.cut_at + SECOND:%Y-%m-%dT%H:%M:%S}"


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
