"""`prosa dead-letters`: what a consumer group gave up, and what is to become of it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from commands import numbers
from commands.acting import By, act_on
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import AsJson, Complaint, add_row, as_json, console, print_json, print_table, printable, table_of
from operations.durations import ago

if TYPE_CHECKING:
    from operations.connection import Connection
    from operations.dead_letters import ArchivedEvent, Decision, History, Letter

dead_letters = typer.Typer(no_args_is_help=True, help="Events that a consumer group gave up: look, send round again, discard.")

Event = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id, or how it begins.")]
Group = Annotated[Literal["responder", "sender"] | None, typer.Option("--group", help="Only this consumer group's.")]

_DETAILS = ("by", "error", "attempts", "reason", "code", "part", "attempt", "sid", "final")


@dead_letters.command("list", epilog="Example: prosa dead-letters list --all --json")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were redriven, refused or discarded.")] = False,
    group: Group = None,
    limit: Annotated[int, numbers.limit("The newest so many.")] = 100,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Show the open dead letters, the newest first."""
    from operations.dead_letters import letters

    status = None if everything else "open"
    found = act_on(data, lambda connection: letters(connection.database, status=status, group=group, limit=limit))
    if as_json:
        print_json([asdict(letter) for letter in found])
    elif found:
        print_table(_table(found, everything=everything))
    else:
        console.print("No dead letters." if everything else "No open dead letters.")


@dead_letters.command(epilog="Example: prosa dead-letters show 01KAH3V5T2")
def show(event: Event, group: Group = None, as_json: AsJson = False, data: Directory = DATA_DIRECTORY) -> None:
    """Show one: the event as the archive has it, why it was given up, and what the log says about it since."""
    from operations.dead_letters import history, the_letter

    async def look(connection: "Connection") -> "History":
        return await history(connection.database, await the_letter(connection.database, event, group=group))

    found = act_on(data, look)
    if as_json:
        print_json(asdict(found))
    else:
        _print_history(found)


@dead_letters.command(epilog="Example: prosa dead-letters redrive 01KAH3V5T2 --by ana")
def redrive(
    by: By,
    event: Annotated[str | None, typer.Argument(metavar="[EVENT]", help="The event's id, or how it begins.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open, the oldest first; 10,000 at most.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Together with --all: do it.")] = False,
    group: Group = None,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Let the group handle a dead letter again, and tell what came of it.

    What would be said later than 24 hours after the contact's last message becomes a dead letter again, until the contact writes:
    WhatsApp takes no such answer.

    Exit code 0 where each is handled again, 1 where one was refused, or has failed again or will.
    """
    from operations import dead_letters as operation

    if everything == (event is not None):
        raise typer.BadParameter("give one event, or --all", param_hint="EVENT")

    async def decide(connection: "Connection") -> "Sequence[Decision]":
        if event is not None:
            letter = await operation.the_letter(connection.database, event, group=group)
            return [await operation.redrive(connection, letter, by=by)]
        found = await operation.letters_to_redrive(connection.database, group=group)
        if found and not yes:
            raise Complaint(f"{len(found)} dead letters would be handled again; add --yes")
        return await operation.redrive_each(connection, found, by=by)

    _tell(act_on(data, decide), "redriven", as_json=as_json)


@dead_letters.command(epilog='Example: prosa dead-letters discard 01KAH3V5T2 --reason "answered by telephone"')
def discard(
    event: Event,
    by: By,
    reason: Annotated[str | None, typer.Option("--reason", help="Why nothing will be done; the log keeps it.")] = None,
    group: Group = None,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Decide that nothing will be done about a dead letter.

    Exit code 0 where that is so now, 1 where somebody else decided otherwise meanwhile.
    """
    from operations import dead_letters as operation

    async def decide(connection: "Connection") -> "Sequence[Decision]":
        letter = await operation.the_letter(connection.database, event, group=group)
        return [await operation.discard(connection, letter, by=by, reason=reason)]

    _tell(act_on(data, decide), "discarded", as_json=as_json)


def _table(found: "Sequence[Letter]", *, everything: bool) -> Table:
    columns = ("EVENT", "GROUP", *(["STATUS"] if everything else []), "CONTACT", "ERROR", "ATTEMPTS", "AGE")
    table = table_of(*columns, unbroken=("EVENT",))
    for letter in found:
        status = [letter.status] if everything else []
        contact = letter.thread.rpartition("|")[2]
        cells = (letter.event, letter.group, *status, contact, letter.error, str(letter.attempts), ago(letter.age_seconds))
        add_row(table, cells)
    return table


def _print_history(found: "History") -> None:
    letter = found.letter
    lines = [
        f"{letter.event}, {letter.status}, {ago(letter.age_seconds)} old",
        f"given up by   {letter.group}, after {letter.attempts} attempts",
        f"error         {letter.error}  (fingerprint {letter.fingerprint})",
        f"thread        {letter.thread}",
        f"conversation  {letter.conversation_id or '-'}",
        "",
        "The event, as the archive of the log has it:",
        as_json(found.event.event) if found.event else "it is not there",
        "",
        "What the log says about it since:" if found.since else "The log says nothing more about it.",
        *(_line(event) for event in found.since),
    ]
    console.print(printable("\n".join(lines)), markup=False, soft_wrap=True)


def _line(archived: "ArchivedEvent") -> str:
    name = archived.type.removeprefix("prosa.").rpartition(".")[0]
    said = archived.event["data"]
    details = ", ".join(f"{key} {said[key]}" for key in _DETAILS if said.get(key) is not None)
    return f"  {archived.log_time:%Y-%m-%d %H:%M:%S}  {name:22}  {details}".rstrip()


def _tell(decisions: "Sequence[Decision]", wanted: str, *, as_json: bool) -> None:
    """Ends with exit code 1 where a dead letter has not come to the status that was wanted."""
    _print_decisions(decisions, as_json=as_json)
    if any(each.status != wanted for each in decisions):
        raise typer.Exit(1)


def _print_decisions(decisions: "Sequence[Decision]", *, as_json: bool) -> None:
    if as_json:
        told = [
            {"event": each.letter.event, "group": each.letter.group, "status": each.status, "outcome": each.outcome}
            for each in decisions
        ]
        print_json(told)
        return
    for each in decisions:
        console.print(printable(f"{each.letter.event} ({each.letter.group}): {each.outcome}"), markup=False, soft_wrap=True)
    if not decisions:
        console.print("No open dead letters.")
