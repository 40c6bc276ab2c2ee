"""`prosa sends`: messages that did not simply go out, and what a person knows about them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from commands import numbers
from commands.acting import act_on, decider
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import AsJson, add_row, console, print_json, print_table, printable, table_of

if TYPE_CHECKING:
    from operations.connection import Connection
    from operations.sends import Send
    from operations.settling import Settled

sends = typer.Typer(no_args_is_help=True, help="Messages that did not simply go out: look, and settle what nobody can tell.")

_SHOWN_CHARACTERS = 40


@sends.command("list", epilog="Example: prosa sends list --hours 72")
def list_(
    hours: Annotated[float, numbers.hours("Rejected ones of the last so many hours.")] = 24,
    limit: Annotated[int, numbers.limit("Of the newest so many replies.")] = 100,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Show messages that are unconfirmed, were begun long ago, or were rejected lately.

    STARTED is when the attempt began: near that moment Twilio's console shows the message, if Twilio took it.
    """
    from operations.sends import unsettled

    found = act_on(data, lambda connection: unsettled(connection.database, rejected_within_seconds=hours * 3600, limit=limit))
    if as_json:
        print_json([asdict(send) for send in found])
    elif found:
        print_table(_table(found))
    else:
        console.print("Everything went out, or is on its way.")


@sends.command(epilog="Example: prosa sends resolve 01KAH3V5T2 --sent SM0123456789abcdef0123456789abcdef")
def resolve(
    reply: Annotated[str, typer.Argument(metavar="REPLY", help="The reply's id, or how it begins.")],
    by: Annotated[str, decider("Who decides; the log keeps it of what is dropped.")],
    part: Annotated[int | None, typer.Option("--part", min=1, help="Which message of the reply, from 1 on.")] = None,
    sent: Annotated[str | None, typer.Option("--sent", metavar="SID", help="It was sent: Twilio's console shows this.")] = None,
    not_sent: Annotated[bool, typer.Option("--not-sent", help="It was not sent: Twilio's console does not show it.")] = False,
    drop: Annotated[bool, typer.Option("--drop/--resend", help="Of what was not sent: leave it unsaid, or try again.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why it is dropped; the log keeps it.")] = None,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Settle a message of which nobody can tell whether it was sent, after a look in Twilio's console."""
    from operations import settling

    if (sent is not None) == not_sent:
        raise typer.BadParameter("say either --sent SID or --not-sent", param_hint="--sent")
    if drop and sent is not None:
        raise typer.BadParameter("what was sent cannot be dropped", param_hint="--drop")

    async def act(connection: "Connection") -> "Settled":
        if sent is not None:
            return await settling.settle_as_sent(connection, reply, part=part, sid=sent)
        if drop:
            return await settling.drop(connection, reply, part=part, by=by, reason=reason)
        return await settling.settle_as_unsent(connection, reply, part=part)

    settled = act_on(data, act)
    if as_json:
        print_json(asdict(settled))
    else:
        console.print(printable(f"{settled.reply}, part {settled.part}: {settled.outcome}"), markup=False, soft_wrap=True)


def _table(found: "list[Send]") -> Table:
    columns = ("REPLY", "PART", "STATUS", "STARTED", "CONTACT", "WHY", "TEXT")
    table = table_of(*columns, unbroken=("REPLY", "PART", "STARTED"))
    for send in found:
        started = f"{send.started_at:%Y-%m-%d %H:%M:%SZ}" if send.started_at else "-"
        contact = send.thread.rpartition("|")[2]
        text = " ".join(send.text[:_SHOWN_CHARACTERS].split())
        cells = (send.reply, f"{send.part}/{send.parts}", send.status, started, contact, send.error or "-", text)
        add_row(table, cells)
    return table
