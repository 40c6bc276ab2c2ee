"""`prosa dev` through a pipe whose reader goes away, as `head` does: it stops in order, and nobody sees a traceback."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.running import QUICK, START_SECONDS, Prosa, clean_environment, end


def launched(dev: Prosa, complaints: Path) -> "subprocess.Popen[bytes]":
    with complaints.open("wb") as file:
        return subprocess.Popen(  # noqa: S603 - our own command
            dev.command,
            cwd=dev.directory,
            env=clean_environment(**dev.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            start_new_session=True,
        )


@pytest.mark.parametrize("lines", [1, 3, 25])
async def test_it_stops_in_order_once_nobody_reads(lines: int, tmp_path: Path) -> None:
    dev = Prosa(tmp_path, 1, QUICK)
    dev._process = process = launched(dev, tmp_path / "complaints.txt")
    assert process.stdout is not None
    try:
        for _ in range(lines):
            assert await asyncio.to_thread(process.stdout.readline)
        dev.note_processes()
        process.stdout.close()
        assert await asyncio.to_thread(process.wait, START_SECONDS) == 0
        assert (tmp_path / "complaints.txt").read_text() == ""
        assert await dev.left_over(seconds=1) == []
        assert not (tmp_path / ".prosa" / "development.json").exists()
    finally:
        await end(dev)
