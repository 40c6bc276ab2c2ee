"""Ports that others listen on: all told at once, with a command line that works."""

import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from development.directory import RunDirectory
from development.errors import DevelopmentError
from development.plan import Plan, Ports, addresses
from development.ports import MADE_BY_MAKE, on_free_ports, require_free_ports, require_possible_ports, wait_for_last_run
from simulator.servers import free_port

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def typed_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MADE_BY_MAKE, raising=False)


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """Ports on which others listen."""
    with ExitStack() as stack:
        yield [_listened_on(stack) for _ in range(3)]


def _listened_on(stack: ExitStack) -> int:
    """A port with a free one before it; another process may be quicker than we are, and then it is the next."""
    while True:
        port = free_port(in_a_row=2) + 1
        with suppress(OSError):
            stack.enter_context(socket.create_server((HOST, port)))
            return port


def plan(directory: Path, *, workers: int = 1, **ports: int) -> Plan:
    """On free ports, apart from those given."""
    free = {name: free_port() for name in ("webhook", "simulator", "valkey", "postgres")}
    return Plan(Ports(**{**free, "metrics": free_port(in_a_row=workers + 1), **ports}), workers, RunDirectory(directory))


def refusal(refused: Plan) -> str:
    with pytest.raises(DevelopmentError) as error:
        require_free_ports(refused)
    return str(error.value)


def test_all_taken_ports_are_told_at_once(taken: list[int], tmp_path: Path) -> None:
    first, second, third = taken
    told = refusal(plan(tmp_path, webhook=first, valkey=second, postgres=third))
    assert told.startswith(f"ports {first}, {second} and {third} are taken; choose others: ")


def test_the_command_line_that_is_told_has_free_ports_and_all_that_was_asked_for(taken: list[int], tmp_path: Path) -> None:
    refused = plan(tmp_path / "a folder", workers=2, webhook=taken[0], simulator=taken[1], metrics=taken[2] - 1)
    words = shlex.split(refusal(refused).partition(": ")[2])
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert words[1] == "dev"
    assert options["--workers"] == "2"
    assert options["--data"] == str(tmp_path / "a folder")
    names = ("--port", "--simulator-port", "--valkey-port", "--postgres-port", "--metrics-port")
    chosen = Ports(*(int(options[name]) for name in names))
    assert (chosen.valkey, chosen.postgres) == (refused.ports.valkey, refused.ports.postgres)
    accepted = Plan(chosen, 2, refused.directory)
    require_possible_ports(accepted)
    require_free_ports(accepted)


ALL = frozenset({"--port", "--simulator-port", "--valkey-port", "--postgres-port", "--metrics-port"})


def test_a_taken_port_that_nobody_asked_for_is_gone_round_and_told(taken: list[int], tmp_path: Path) -> None:
    wanted = replace(plan(tmp_path, workers=2, webhook=taken[0], valkey=taken[1], metrics=taken[2] - 1), movable=ALL)
    told: list[str] = []
    found = on_free_ports(wanted, told.append)
    require_free_ports(replace(found, movable=frozenset()))
    require_possible_ports(replace(found, movable=frozenset()))
    assert (found.ports.simulator, found.ports.postgres) == (wanted.ports.simulator, wanted.ports.postgres)
    assert told == [
        f"Ports {taken[0]}, {taken[1]} and {taken[2]} are taken; this run has --port {found.ports.webhook}"
        f" --valkey-port {found.ports.valkey} --metrics-port {found.ports.metrics}"
    ]
    assert (on_free_ports(found, told.append), len(told)) == (found, 1)


def test_a_port_that_was_asked_for_is_never_another_one(taken: list[int], tmp_path: Path) -> None:
    wanted = replace(plan(tmp_path, webhook=taken[0], valkey=taken[1]), movable=ALL - {"--port"})
    with pytest.raises(DevelopmentError, match=f"^port {taken[0]} is taken; choose another: "):
        on_free_ports(wanted, print)


def test_what_nobody_asked_for_makes_way_for_what_was_asked_for(tmp_path: Path) -> None:
    port = free_port()
    wanted = replace(plan(tmp_path, webhook=port, simulator=port), movable=ALL - {"--port"})
    require_possible_ports(wanted)
    found = on_free_ports(wanted, print).ports
    assert found.webhook == port != found.simulator


@pytest.mark.parametrize("asked", ["--port", "--metrics-port"])
def test_a_default_that_was_typed_was_asked_for(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr("development.everything.run", lambda plan, _: plans.append(plan))
    port = {"--port": Ports().webhook, "--metrics-port": Ports().metrics}[asked]
    assert CliRunner().invoke(app, ["dev", asked, str(port), "--data", str(tmp_path)]).exit_code == 0
    assert (plans[0].ports, ALL & plans[0].movable) == (Ports(), ALL - {asked})


def test_what_a_killed_run_listened_on_is_waited_for(tmp_path: Path) -> None:
    begun, told = plan(tmp_path), list[str]()
    ours = replace(begun, ports=plan(tmp_path).ports)
    begun.directory.write_addresses(
        {**addresses(begun, "redis://h:1", "postgresql://h:2"), "METRICS_PORT": str(begun.ports.metrics)}
    )
    left = socket.create_server((HOST, begun.clock_metrics))

    def ends(sentence: str) -> None:
        told.append(sentence)
        left.close()

    wait_for_last_run(ours, ends)
    assert told == ["Waiting for what is left of the last run to end …"]
    begun.directory.addresses_file.write_text('{"REDIS_')
    wait_for_last_run(ours, ends)
    assert len(told) == 1


def test_who_typed_make_run_is_told_that(taken: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MADE_BY_MAKE, "1")
    assert f'port {taken[0]} is taken; choose another: make run ARGS="--port ' in refusal(plan(tmp_path, webhook=taken[0]))


def test_a_port_that_is_wanted_twice_or_does_not_exist_is_refused(tmp_path: Path) -> None:
    port = free_port()
    for ports, told in (
        ({"webhook": port, "simulator": port}, f"--simulator-port: port {port} is wanted twice"),
        ({"metrics": 65535}, "--metrics-port: there is no port 65536"),
    ):
        with pytest.raises(DevelopmentError, match=told):
            require_possible_ports(plan(tmp_path, **ports))


def test_the_options_of_the_command_have_the_defaults_of_the_plan() -> None:
    shown = CliRunner().invoke(app, ["dev", "--help"], terminal_width=200).output
    assert all(f"[default: {port}]" in shown for port in (8000, 8010, 6399, 5439, 9100))
