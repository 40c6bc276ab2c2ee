"""Ports that others listen on: gone round where nobody asked for them, else told all at once, with a command line that does."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from development.commands import data_option, prosa_command
from development.errors import DevelopmentError
from development.plan import Plan, Ports
from simulator.servers import is_taken

HIGHEST_PORT = 65535
LEFTOVER_SECONDS = 15.0
POLL_SECONDS = 0.05
MADE_BY_MAKE = "MAKELEVEL"
"""Make sets it for what it runs."""


def require_possible_ports(plan: Plan) -> None:
    """Raise `DevelopmentError` for a port that nobody can listen on, or that was asked for twice."""
    wanted: set[int] = set()
    for option, port in _asked_ports(plan):
        if port > HIGHEST_PORT:
            raise DevelopmentError(f"{option}: there is no port {port}; the highest one is {HIGHEST_PORT}")
        if port in wanted:
            raise DevelopmentError(f"{option}: port {port} is wanted twice; choose another one")
        wanted.add(port)


def require_free_ports(plan: Plan) -> None:
    """
    Raise `DevelopmentError` where something else listens on a port that was asked for, or where that is for root only.

    It tells every such port, and a command line that chooses others.
    """
    taken = [(option, port) for option, port in _asked_ports(plan) if _is_taken(option, port)]
    if taken:
        choose = "choose another" if len(taken) == 1 else "choose others"
        raise DevelopmentError(f"{_are_taken(taken)}; {choose}: {_command_line(plan, dict(taken))}")


def on_free_ports(plan: Plan, tell: Callable[[str], None]) -> Plan:
    """The plan, with other ports for taken ones that nobody asked for. Raises what `require_free_ports` raises."""
    require_free_ports(plan)
    asked = {port for _, port in _asked_ports(plan)}
    taken = [(option, port) for option, port in _ports(plan) if option in plan.movable and (port in asked or is_taken(port))]
    if not taken:
        return plan
    moved = _elsewhere(plan, dict(taken))
    tell(f"{_are_taken(taken).capitalize()}; this run has {' '.join(f'{option} {port}' for option, port in moved.items())}")
    return replace(plan, ports=Ports(*(moved.get(option, port) for option, port in _first_ports(plan.ports))))


def wait_for_last_run(plan: Plan, tell: Callable[[str], None]) -> None:
    """Give the processes of a run that was killed a moment to end: until nobody listens where they did."""
    ports = _ports_of_last_run(plan)
    deadline = time.monotonic() + LEFTOVER_SECONDS
    if any(map(is_taken, ports)):
        tell("Waiting for what is left of the last run to end …")
    while any(map(is_taken, ports)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _ports_of_last_run(plan: Plan) -> Sequence[int]:
    """Nothing where it stopped in order. Of its workers those are looked for in whose way ours would be."""
    left = plan.directory.addresses_of_killed_run
    urls = [left[name] for name in ("REDIS_URL", "DATABASE_URL", "PUBLIC_BASE_URL", "TWILIO_API_URL") if name in left]
    ports = [port for each in urls if (port := urlsplit(each).port)]
    if metrics := int(left.get("METRICS_PORT", 0)):
        ports += range(metrics, metrics + plan.workers + 1)
    return ports


def _ports(plan: Plan) -> Iterator[tuple[str, int]]:
    yield "--port", plan.ports.webhook
    yield "--simulator-port", plan.ports.simulator
    yield "--valkey-port", plan.ports.valkey
    yield "--postgres-port", plan.ports.postgres
    for port in (*plan.worker_metrics, plan.clock_metrics):
        yield "--metrics-port", port


def _asked_ports(plan: Plan) -> Sequence[tuple[str, int]]:
    return [(option, port) for option, port in _ports(plan) if option not in plan.movable]


def _command_line(plan: Plan, taken: Collection[str]) -> str:
    """What was asked for, with other ports in the place of those that are taken."""
    options: list[str] = []
    moved = _elsewhere(plan, taken)
    for option, port in _first_ports(plan.ports):
        chosen = moved.get(option, port)
        if (option, chosen) not in _first_ports(Ports()):
            options += [option, str(chosen)]
    if plan.workers != 1:
        options += ["--workers", str(plan.workers)]
    asked = f"{' '.join(options)}{data_option(plan.directory)}"
    return f'make run ARGS="{asked}"' if MADE_BY_MAKE in os.environ else f"{prosa_command()} dev {asked}"


def _elsewhere(plan: Plan, options: Collection[str]) -> dict[str, int]:
    """Another port for each of these options, which nobody wants or listens on."""
    avoided = {port for _, port in _ports(plan)}
    found: dict[str, int] = {}
    for option, port in _first_ports(plan.ports):
        if option in options:
            found[option] = _free_after(port, avoided, count=plan.workers + 1 if option == "--metrics-port" else 1)
            avoided.update(range(found[option], found[option] + plan.workers + 1))
    return found


def _first_ports(ports: Ports) -> Sequence[tuple[str, int]]:
    return (
        ("--port", ports.webhook),
        ("--simulator-port", ports.simulator),
        ("--valkey-port", ports.valkey),
        ("--postgres-port", ports.postgres),
        ("--metrics-port", ports.metrics),
    )


def _free_after(port: int, avoided: set[int], count: int) -> int:
    """The first of so many ports in a row that nobody wants or listens on."""
    candidates = range(port + 1, HIGHEST_PORT - count)
    return next(
        (first for first in candidates if not any(near in avoided or is_taken(near) for near in range(first, first + count))),
        port + 1,
    )


def _is_taken(option: str, port: int) -> bool:
    try:
        return is_taken(port)
    except PermissionError:
        raise DevelopmentError(f"{option}: port {port} is for root only; choose one above 1023") from None


def _are_taken(ports: Sequence[tuple[str, int]]) -> str:
    *before, last = [str(port) for _, port in ports]
    return f"ports {', '.join(before)} and {last} are taken" if before else f"port {last} is taken"
