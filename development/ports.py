"""Ports that others listen on, told all at once, with a command line that goes round them."""

import os
import time
from collections.abc import Callable, Iterator, Sequence

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
    """Raise `DevelopmentError` for a port that nobody can listen on, or that the plan uses twice."""
    wanted: set[int] = set()
    for option, port in _ports(plan):
        if port > HIGHEST_PORT:
            raise DevelopmentError(f"{option}: there is no port {port}; the highest one is {HIGHEST_PORT}")
        if port in wanted:
            raise DevelopmentError(f"{option}: port {port} is wanted twice; choose another one")
        wanted.add(port)


def taken_ports(plan: Plan) -> list[tuple[str, int]]:
    """Options and ports where something else listens. Raises `DevelopmentError` for a port that is for root only."""
    return [(option, port) for option, port in _ports(plan) if _is_taken(option, port)]


def require_free_ports(plan: Plan) -> None:
    """Raise `DevelopmentError` where something else listens: every such port, and a command line that chooses others."""
    taken = taken_ports(plan)
    if taken:
        ports = _listed([str(port) for _, port in taken])
        what = f"port {ports} is taken; choose another" if len(taken) == 1 else f"ports {ports} are taken; choose others"
        raise DevelopmentError(f"{what}: {_command_line(plan, dict(taken))}")


def wait_for_free_ports(plan: Plan, tell: Callable[[str], None]) -> None:
    """Give the processes of a run that was killed a moment to end; then raise what `require_free_ports` raises."""
    deadline = time.monotonic() + (LEFTOVER_SECONDS if plan.directory.has_leftovers else 0)
    if taken_ports(plan) and plan.directory.has_leftovers:
        tell("Waiting for what is left of the last run to end …")
    while taken_ports(plan) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    require_free_ports(plan)


def _ports(plan: Plan) -> Iterator[tuple[str, int]]:
    yield "--port", plan.ports.webhook
    yield "--simulator-port", plan.ports.simulator
    yield "--valkey-port", plan.ports.valkey
    yield "--postgres-port", plan.ports.postgres
    for port in (*plan.worker_metrics, plan.clock_metrics):
        yield "--metrics-port", port


def _command_line(plan: Plan, taken: dict[str, int]) -> str:
    """What was asked for, with other ports in the place of those that are taken."""
    avoided = {port for _, port in _ports(plan)}
    options: list[str] = []
    for option, port in _first_ports(plan.ports):
        chosen = port
        if option in taken:
            chosen = _free_after(port, avoided, count=plan.workers + 1 if option == "--metrics-port" else 1)
            avoided.update(range(chosen, chosen + plan.workers + 1))
        if (option, chosen) not in _first_ports(Ports()):
            options += [option, str(chosen)]
    if plan.workers != 1:
        options += ["--workers", str(plan.workers)]
    asked = f"{' '.join(options)}{data_option(plan.directory)}"
    return f'make run ARGS="{asked}"' if MADE_BY_MAKE in os.environ else f"{prosa_command()} dev {asked}"


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


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
