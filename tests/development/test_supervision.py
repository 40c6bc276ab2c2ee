"""A program kept running: again and again, but not where that can help nobody."""

import asyncio
import os
import sys

import pytest

from development.supervision import RESTARTS_IN_A_ROW, Child, Program
from streams.errors import EX_CONFIG

SECONDS = 20.0


async def given_up(code: int) -> tuple[list[str], list[str]]:
    """What is told about a program that always ends with this code: the warnings, and why it was given up."""
    warnings: list[str] = []
    problems: asyncio.Queue[str] = asyncio.Queue()
    child = Child(program(f"raise SystemExit({code})"), show=ignored, warn=warnings.append, give_up=problems.put_nowait)
    child.start()
    async with asyncio.timeout(SECONDS):
        problem = await problems.get()
    await child.stop()
    return warnings, [problem]


def program(script: str) -> Program:
    return Program("handlers", [sys.executable, "-c", script], dict(os.environ), [])


def ignored(_: str) -> None:
    pass


async def test_wrong_settings_are_not_tried_again() -> None:
    assert await given_up(EX_CONFIG) == ([], ["handlers cannot run with these settings; its last line says why"])


@pytest.mark.parametrize("code", [0, 1])
async def test_any_other_end_is_tried_again_a_few_times(code: int) -> None:
    warnings, problems = await given_up(code)
    assert warnings == [f"handlers ended with code {code}; starting it again"] * (RESTARTS_IN_A_ROW - 1)
    assert problems == [f"handlers ended {RESTARTS_IN_A_ROW} times in a row; its last lines say why"]


async def test_a_child_runs_from_its_start_to_its_stop() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    waiting = program("print('here', flush=True); import time; time.sleep(99)")
    child = Child(waiting, show=lines.put_nowait, warn=ignored, give_up=ignored)
    assert not child.is_running
    child.start()
    async with asyncio.timeout(SECONDS):
        assert await lines.get() == "here"
        assert child.is_running
        await child.stop()
    assert not child.is_running
