"""What to open and what to type."""

import sys
from pathlib import Path

import pytest

from development.commands import prosa_command
from development.directory import RunDirectory
from development.links import aligned, links
from development.plan import Plan, Ports, addresses

PASSWORD = "canary-password"


def table(directory: Path, workers: int = 1) -> list[str]:
    plan = Plan(Ports(), workers, RunDirectory(directory))
    where = addresses(plan, f"redis://:{PASSWORD}@127.0.0.1:6399/0", f"postgresql://postgres:{PASSWORD}@127.0.0.1:5439/postgres")
    return aligned(links(plan, where))


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a virtual environment in it, and no `prosa` on the path."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "prosa").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_are_typed_as_they_are_found_here(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prosa_command() == ".venv/bin/prosa"
    monkeypatch.setenv("PATH", str(checkout / ".venv" / "bin"))
    assert prosa_command() == "prosa"
    monkeypatch.setenv("PATH", "/nowhere")
    (checkout / "elsewhere").mkdir()
    monkeypatch.chdir(checkout / "elsewhere")
    assert prosa_command() == str(checkout / ".venv" / "bin" / "prosa")


def test_a_directory_that_is_not_the_default_stands_in_every_command(checkout: Path) -> None:
    assert not any("--data" in line for line in table(checkout / ".prosa"))
    commands = [line for line in table(checkout / "a folder") if ".venv/bin/prosa" in line]
    assert len(commands) == 3
    assert all("--data 'a folder'" in line for line in commands)


def test_no_line_is_wider_than_a_terminal_and_none_holds_a_password(checkout: Path) -> None:
    lines = table(checkout / ".prosa", workers=3)
    assert max(map(len, lines)) < 100
    assert not any(PASSWORD in line for line in lines)


def test_the_metrics_of_all_processes_are_there(checkout: Path) -> None:
    shown = "\n".join(table(checkout / ".prosa", workers=3))
    assert [f":{port}/metrics" in shown for port in (8000, 9100, 9101, 9102, 9103, 9104)] == [True] * 5 + [False]
