"""`prosa status`: who serves what, how far behind it is, and what waits for whom."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from commands.acting import act_on
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import add_row, console, print_json, print_table, printable, table_of
from operations.durations import ago
from telemetry import ranges

if TYPE_CHECKING:
    from operations.connection import Connection
    from operations.status import LogStatus, ReadModelStatus, SystemStatus, Waiting
    from streams.lag import Lag

LOOK_SECONDS = 1.0
MEMBER_CHARACTERS = 8

NAMES = {"log": "the log", "read_model": "the read model"}


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One document; with --watch one line for each look.")] = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """
    Show how the system stands. It only looks, also where nothing was ever started.

    Exit code 0 where everything could be looked at, 1 where log or Postgres did not answer; the rest is shown all the same.
    """
    if watch:
        with suppress(KeyboardInterrupt, BrokenPipeError):
            act_on(data, _lines if as_json else _live if console.is_terminal else _one_after_the_other)
        return
    found = act_on(data, _look)
    if as_json:
        print_json(document(found))
    else:
        print_table(_shown(found))
    if found.problems:
        raise typer.Exit(1)


async def _look(connection: "Connection") -> "SystemStatus":
    from operations import status as operation

    return await operation.status(connection)


async def _looks(connection: "Connection") -> "AsyncIterator[SystemStatus]":
    from operations import status as operation

    totals = operation.Totals()
    while True:
        yield await operation.status(connection, totals)
        await asyncio.sleep(LOOK_SECONDS)


async def _lines(connection: "Connection") -> None:
    async for found in _looks(connection):
        print_json(document(found), indent=None)


async def _one_after_the_other(connection: "Connection") -> None:
    async for found in _looks(connection):
        print_table(_shown(found))
        print_table("")


async def _live(connection: "Connection") -> None:
    with Live(console=console, auto_refresh=False) as live:
        async for found in _looks(connection):
            live.update(_shown(found), refresh=True)


def document(found: "SystemStatus") -> dict[str, Any]:
    """
    The status as `--json` gives it.

    Names and meanings are those of `operations.status`; `log` and `read_model` are null where `problems` says why. Holders and
    lags stand under their partition's number, as text.
    """
    plain = asdict(found)
    if found.log:
        plain["log"]["unserved"] = found.log.unserved
    return plain


# ------------------------------------------------------------------------------------------------- what the terminal shows


def _shown(found: "SystemStatus") -> Group:
    parts: list[Any] = [Text(f"{NAMES[name]}: {printable(why)}", style="red") for name, why in found.problems.items()]
    if found.log and found.log.lost:
        from streams.agreement import told

        parts.append(Text(f"the log lost what was folded of it: {printable(told(found.log.lost))}; prosa repair", style="red"))
    if found.log:
        parts += [_groups(found.log), Text(), _holders(found.log)]
    if found.read_model:
        parts += [Text(), _facts(found.read_model)]
    return Group(*parts)


def _groups(log: "LogStatus") -> Table:
    table = table_of("GROUP", "LAG", "OLDEST", "PARTITIONS BEHIND")
    for group, lags in log.lags.items():
        behind = [partition for partition, lag in lags.items() if lag.seconds]
        oldest = max((lag.seconds for lag in lags.values()), default=0.0)
        add_row(table, (group, _events(lags, log.lost), ago(oldest) if oldest else "-", ranges(behind) or "-"))
    return table


def _events(lags: "Mapping[int, Lag]", lost: Collection[int]) -> str:
    """The sum, where every partition's is known."""
    counts = [lag.events if lag.seconds or partition in lost else 0 for partition, lag in lags.items()]
    return "?" if any(count is None for count in counts) else str(sum(count or 0 for count in counts))


def _holders(log: "LogStatus") -> Table:
    table = table_of("WORKER", "PARTITIONS", "LEASE")
    held: dict[str, list[int]] = {}
    for partition, holder in log.holders.items():
        held.setdefault(holder.member, []).append(partition)
    for member, partitions in sorted(held.items()):
        lease = min(log.holders[partition].remaining_seconds for partition in partitions)
        add_row(table, (member[:MEMBER_CHARACTERS], ranges(partitions), f"{lease:.0f} s"))
    if log.unserved:
        add_row(table, ("nobody", ranges(log.unserved), "-"), style="red")
    return table


def _facts(read_model: "ReadModelStatus") -> Table:
    table = Table.grid(padding=(0, 2))
    for name, told in _told(read_model):
        table.add_row(Text(name, style="dim"), Text(told))
    return table


def _told(read_model: "ReadModelStatus") -> "Iterator[tuple[str, str]]":
    conversations = ", ".join(f"{number} {name}" for name, number in sorted(read_model.conversations.items()))
    yield "conversations", conversations or "none"
    yield (
        "unanswered",
        f"{_waiting(read_model.unanswered_by_ai)} by the AI; {_waiting(read_model.unanswered_by_person)} by a person",
    )
    yield "replies to be sent", _waiting(read_model.unsent)
    yield "unconfirmed sends", _waiting(read_model.unconfirmed)
    letters = "; ".join(f"{_waiting(each)} of the {group}" for group, each in read_model.dead_letters.items())
    yield "dead letters", letters or "0"
    yield "skipped events", str(read_model.skipped_events)
    tick = read_model.tick_age_seconds
    yield "last tick", "there is a partition without any" if tick is None else f"{ago(tick)} ago"
    if read_model.clock_ahead_seconds:
        yield "clock", f"{ago(read_model.clock_ahead_seconds)} ahead (development)"


def _waiting(waiting: "Waiting") -> str:
    age = "" if waiting.oldest_seconds is None else f", the oldest {ago(waiting.oldest_seconds)}"
    return f"{waiting.number}{age}"
