"""The operations guide leads somewhere: its links, its commands, its settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import app
from settings import Settings

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "operations.md"
OPENTELEMETRY = "OTEL_"
"""Its variables are no settings of ours."""


def text() -> str:
    return GUIDE.read_text(encoding="utf-8")


def anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)\s]+)\)", text()))))
def test_a_link_leads_somewhere(target: str) -> None:
    if target.startswith("https://"):
        return
    file, _, anchor = target.partition("#")
    linked = GUIDE.parent / file if file else GUIDE
    assert linked.is_file()
    assert not anchor or anchor in anchors(linked)


def commands() -> list[str]:
    code = re.findall(r"```sh\n(.*?)```", text(), re.DOTALL) + re.findall(r"`(prosa [^`]+)`", text())
    return sorted({line.split("#")[0].strip() for block in code for line in block.splitlines() if line.startswith("prosa ")})


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one_with_these_options(line: str) -> None:
    found: Any = typer.main.get_command(app)
    words = line.split()[1:]
    while words and hasattr(found, "commands"):
        name = words.pop(0)
        assert name in found.commands
        found = found.commands[name]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_a_setting_that_is_named_is_one() -> None:
    named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text())
    assert "STREAM_PARTITIONS" in named
    others = {"ON_ERROR_STOP", "VALKEY_MAXMEMORY"}  # psql's, and docker compose's
    ours = {name for name in named if not name.startswith(OPENTELEMETRY)} - others
    unknown = ours - {name.upper() for name in Settings.model_fields}
    assert unknown == set()
