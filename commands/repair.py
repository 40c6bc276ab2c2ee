"""`prosa repair`: a log that lost its tail, made whole from the archive."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.configured import servers_here, settings_here
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import Complaint, add_row, console, print_json, print_table, table_of

if TYPE_CHECKING:
    from operations.repair_findings import Compared, Standing
    from operations.repair_system import System
    from settings import Settings

TELL_EVERY = 50_000
"""So many entries of a partition, at least, between two lines about it."""


def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print what was found as JSON.")] = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Make a log whole that lost its tail, or everything: from the archive in Postgres, and what Redis still has.

    Stop the handlers first; the webhook may run. It writes a new generation of the log and keeps the old one beside. Interrupted,
    it is to be run again. For a prosa dev that has stopped it starts the servers itself.
    """
    if as_json and not dry_run:
        raise Complaint("--json goes with --dry-run")
    with servers_here(data):
        asyncio.run(_repair(settings_here(data), dry_run=dry_run, yes=yes, as_json=as_json))


async def _repair(settings: "Settings", *, dry_run: bool, yes: bool, as_json: bool) -> None:
    from operations.repair import repair as operation
    from operations.repair_system import repairable, require_room

    async with repairable(settings) as system:
        standing, compared = await _found(system)
        if as_json:
            print_json(_document(standing, compared))
            return
        _show(standing, compared)
        if dry_run or not standing.disagreements:
            return
        await require_room(system, sum(each.archived + each.survivors for each in compared))
        if not yes:
            _ask()
        repaired = await operation(system, Progress().tell)
        if repaired is None:
            console.print("Log and read model agree by now; nothing was done.")
            return
        _conclude(repaired)


async def _found(system: "System") -> "tuple[Standing, Sequence[Compared]]":
    from operations.repair_findings import compare, standing
    from streams.engines.redis_connection import unavailable_on_failure

    with unavailable_on_failure(system.redis):
        found = await standing(system)
        partitions = range(system.partitions) if found.disagreements else ()
        return found, [await compare(system, found, partition) for partition in partitions]


def _document(standing: "Standing", compared: "Sequence[Compared]") -> dict[str, Any]:
    return {"epoch": standing.epoch, "agrees": not standing.disagreements, "partitions": [asdict(each) for each in compared]}


def _show(standing: "Standing", compared: "Sequence[Compared]") -> None:
    if not standing.disagreements:
        console.print("The log holds all that the read model has folded of it; there is nothing to repair.", soft_wrap=True)
        return
    table = table_of("PARTITION", "ARCHIVED", "IN THE LOG", "LOST", "NEW", "WHAT IS WRONG")
    for each in compared:
        counts = (each.partition, each.archived, each.entries, each.lost, each.survivors)
        add_row(table, (*map(str, counts), each.disagreement or "-"))
    print_table(table)
    console.print(
        "LOST stands in the archive alone and comes back; NEW stands in the log alone and stays.", style="dim", soft_wrap=True
    )


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Complaint("nothing is changed: look at what was found, then say --yes")
    typer.confirm("Are the handlers stopped, and shall the log be written anew?", abort=True)


@dataclass(slots=True)
class Progress:
    """On a terminal each step in one line; else a line now and then."""

    partition: int = 0
    told: int = 0

    def tell(self, partition: int, written: int) -> None:
        if partition != self.partition:
            self.partition, self.told = partition, 0
        if console.is_terminal or written - self.told >= TELL_EVERY:
            self.told = written
            end = "\r" if console.is_terminal else "\n"
            console.print(f"partition {partition}: {written} entries written", end=end, soft_wrap=True)


def _conclude(repaired: Any) -> None:
    what = f"{repaired.written} entries were written" if repaired.written else "it was written already"
    console.print(f"The log is whole, in generation {repaired.epoch}: {what}. Start the handlers.", soft_wrap=True)
    if repaired.left_out:
        told = f"{repaired.left_out} entries of poison came not along: their bytes were deleted from skipped_events."
        console.print(told, style="yellow", soft_wrap=True)
    if repaired.before != repaired.epoch:
        kept = f"The old generation is kept under prosa:retired:{repaired.before}:*; docs/operations.md says how to delete it."
        console.print(kept, style="dim", soft_wrap=True)
