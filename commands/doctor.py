"""`prosa doctor`: what is well, what is not, and what to do about it."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from commands.configured import addresses_here
from commands.development_options import DATA_DIRECTORY, Directory, directory_of
from commands.terminal import console, print_json, printable
from development.errors import NothingRuns

if TYPE_CHECKING:
    from operations.doctor.findings import Finding

SIGNS = ("[green]✓[/]", "[yellow]![/]", "[red]✗[/]")
"""By severity."""

Named = Sequence[tuple[str, "Finding"]]


def doctor(
    twilio: Annotated[
        bool, typer.Option("--twilio", help="Also ask Twilio for the account: one call that changes nothing.")
    ] = False,
    model: Annotated[
        bool, typer.Option("--model", help="Also ask each model one tiny question; it may cost a fraction of a cent.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Look at settings, log, Postgres, Twilio, model and processes. Exit code 0: all is well, 1: warnings, 2: errors."""
    from operations.doctor.findings import worst

    named = asyncio.run(_examine(data, twilio=twilio, model=model))
    _print_json(named) if as_json else _print(named)
    raise typer.Exit(worst(finding for _, finding in named))


async def _examine(data: Directory, *, twilio: bool, model: bool) -> Named:
    from operations.doctor.checks import all_checks, checks_of_stopped
    from operations.doctor.examine import examine
    from operations.doctor.system import opened
    from settings import read_settings

    try:
        given, absence = addresses_here(data), None
    except NothingRuns as error:
        given, absence = {}, str(error)
    settings, problems = read_settings(**given)
    checks = all_checks(model_seconds=settings.ai_request_timeout_seconds, calls_twilio=twilio, asks_model=model)
    if absence:
        checks = checks_of_stopped(absence)
    async with opened(settings, problems, directory=directory_of(data).absolute() if given else None) as system:
        return await examine(system, checks)


def _print_json(named: Named) -> None:
    findings = [
        {
            "check": check,
            "group": finding.group.value,
            "severity": finding.severity.name.lower(),
            "sentence": finding.sentence,
            "remedy": finding.remedy,
        }
        for check, finding in named
    ]
    print_json({"findings": findings})


def _print(named: Named) -> None:
    from operations.doctor.findings import Group

    for group in Group:
        if found := [finding for _, finding in named if finding.group is group]:
            console.print(f"[bold]{group}[/]")
            for finding in sorted(found, key=lambda finding: -finding.severity):
                _print_finding(finding)
    console.print(_summary(named))


def _print_finding(finding: "Finding") -> None:
    console.print(f"  {SIGNS[finding.severity]} {escape(printable(finding.sentence))}", soft_wrap=True)
    if finding.remedy:
        console.print(f"    → {escape(printable(finding.remedy))}", soft_wrap=True)


def _summary(named: Named) -> str:
    from operations.doctor.findings import Severity

    counts = {severity: sum(finding.severity is severity for _, finding in named) for severity in Severity}
    told = [
        f"{count} {name}{'s' if count > 1 else ''}"
        for name, count in (("error", counts[Severity.ERROR]), ("warning", counts[Severity.WARNING]))
        if count
    ]
    return f"{' and '.join(told)}." if told else "All is well."
