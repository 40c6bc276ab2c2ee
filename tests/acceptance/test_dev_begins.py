"""What a newcomer sees first: mistakes before anything starts, then one page to open; in colours where there is a terminal."""

import os
import pty
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import EX_CONFIG
from tests.acceptance.processes import running_in
from tests.acceptance.running import PROSA, QUICK, Prosa, clean_environment, end, free_ports, prosa

SECONDS = 60.0


async def test_every_mistake_in_the_settings_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEASE_SECONDS=soon\nTWILIO_SENDER=+1415\nMETRICS_PORT=canary\n")
    code, output = await prosa("dev", *free_ports(1), directory=tmp_path)
    assert code == EX_CONFIG
    named = sorted(line.split()[1] for line in output.splitlines())
    assert named == ["LEASE_SECONDS", "METRICS_PORT", "TWILIO_SENDER"]
    assert "canary" not in output
    assert not (tmp_path / ".prosa").exists()
    assert running_in(tmp_path) == []


@pytest.mark.parametrize("model", ["nonsense", "openai:gpt-4o"])
async def test_a_model_that_cannot_answer_is_told_before_anything_starts(model: str, tmp_path: Path) -> None:
    code, output = await prosa("dev", *free_ports(1), directory=tmp_path, AI_MODEL=model)
    assert code == EX_CONFIG
    assert len(output.splitlines()) == 1
    assert not (tmp_path / ".prosa").exists()


async def test_what_the_run_sets_itself_is_not_checked(tmp_path: Path) -> None:
    """Secrets of production in `.env` are of no use here, and no harm."""
    (tmp_path / ".env").write_text("ENVIRONMENT=production\nREDIS_URL=nonsense\nLEASE_SECONDS=soon\n")
    code, output = await prosa("dev", *free_ports(1), directory=tmp_path)
    assert code == EX_CONFIG
    assert output.startswith("prosa: LEASE_SECONDS ")
    assert len(output.splitlines()) == 1


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys


class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupting)
"""


@pytest.mark.parametrize("name", ["cli", "typer", "development.everything", "handlers.choose_model"])
async def test_ctrl_c_while_python_still_loads_tells_no_traceback(name: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(INTERRUPTED_WHILE_LOADING.format(name=name))
    code, output = await prosa("dev", *free_ports(1), directory=tmp_path, PYTHONPATH=str(site))
    assert code in {-signal.SIGINT, 130}
    assert "Traceback" not in output
    assert len(output.splitlines()) <= 1
    assert not (tmp_path / ".prosa").exists()


class Terminal:
    """`prosa dev` on a pseudo terminal, 100 columns wide."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        ours, theirs = pty.openpty()
        self._ours = ours
        self.output = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [PROSA, "dev", *free_ports(1)],
            cwd=directory,
            env=clean_environment(**QUICK, COLUMNS="100", TERM="xterm-256color", **environment),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def reads(self, sentence: str) -> None:
        """Read on until this is there, or the end."""
        deadline = time.monotonic() + SECONDS
        while sentence not in self.output:
            assert time.monotonic() < deadline, self.output
            try:
                self.output += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:  # how a pseudo terminal tells that nobody holds its other end
                assert sentence in self.output, self.output
                return

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.reads("Stopped")
        return self.process.wait(SECONDS)


@pytest.fixture
def environment() -> dict[str, str]:
    return {}


@pytest.fixture
def terminal(tmp_path: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    started = Terminal(tmp_path, **environment)
    yield started
    started.stop()


COLOURED_LINE = re.compile(r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m \x1b\[35mhandlers")


def test_on_a_terminal_the_lines_of_all_processes_are_coloured_and_what_is_shown_can_be_pasted(terminal: Terminal) -> None:
    terminal.reads("Their passwords")
    assert COLOURED_LINE.search(terminal.output)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.output).replace("\r", "")
    links = shown.partition("Ctrl-C stops it.")[2].strip().splitlines()
    assert re.fullmatch(r"Open http://127\.0\.0\.1:\d+ and chat\.", links[0])
    assert max(map(len, shown.splitlines())) < 100 + len(str(PROSA))
    [command] = [line for line in links if " say " in line]
    pasted = re.sub(r" {2,}.*", "", command.removeprefix("  In a second terminal").strip())
    words = ["sh", "-c", pasted]
    said = subprocess.run(words, cwd=terminal.directory, env=clean_environment(), capture_output=True, text=True, timeout=SECONDS)  # noqa: S603 - as a person pastes it
    assert shlex.split(pasted)[1:] == ["say", "Olá!"]
    assert "Prosa: " in said.stdout
    assert terminal.stop() == 0


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}])
def test_nobody_who_wants_no_colours_gets_any(terminal: Terminal) -> None:
    terminal.reads("Their passwords")
    assert not re.search(r"\x1b\[[0-9;]*3\dm", terminal.output)
    assert terminal.stop() == 0


async def test_what_was_misspelt_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AI_MODLE=offline\n")
    dev = Prosa(tmp_path, 1, QUICK)
    try:
        await dev.start()
        assert dev.output.startswith("AI_MODLE in .env is no setting; did you mean AI_MODEL?\n")
    finally:
        await end(dev)
