"""`prosa dev`: everything on one machine."""

from typing import Annotated, Any

import typer

from commands.development_options import DATA_DIRECTORY, RunsIn, directory_of
from commands.terminal import console
from development.plan import Ports

PORTS = Ports()


def _port(meaning: str) -> Any:
    return typer.Option(min=1, max=65535, help=meaning)


def dev(
    context: typer.Context,
    port: Annotated[int, _port("The webhook's port.")] = PORTS.webhook,
    simulator_port: Annotated[int, _port("The Twilio simulator's port.")] = PORTS.simulator,
    valkey_port: Annotated[int, _port("The embedded Valkey's port.")] = PORTS.valkey,
    postgres_port: Annotated[int, _port("The embedded Postgres's port.")] = PORTS.postgres,
    metrics_port: Annotated[
        int, _port("Health and metrics of the first worker; the others and the clock follow.")
    ] = PORTS.metrics,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Processes that share the partitions out.")] = 1,
    data: RunsIn = DATA_DIRECTORY,
) -> None:
    """
    Run everything on this machine: Valkey, Postgres, webhook, handlers, clock and a Twilio simulator. Ctrl-C stops it.

    Where a port is taken that you do not ask for, it is the next free one.
    """
    from development.directory import RunDirectory
    from development.everything import run
    from development.plan import Plan

    ports = Ports(port, simulator_port, valkey_port, postgres_port, metrics_port)
    run(Plan(ports, workers, RunDirectory(directory_of(data)), _not_asked_for(context)), console)


def _not_asked_for(context: typer.Context) -> frozenset[str]:
    """The options that stand at their defaults because nobody gave them; by name, for Typer does not export the enumeration."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(f"--{name.replace('_', '-')}" for name, source in sources.items() if source and source.name == "DEFAULT")
