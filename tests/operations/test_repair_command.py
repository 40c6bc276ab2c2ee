"""`prosa repair` as a process: what it shows, what it asks, and that it may be killed anywhere."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commands.repair import TELL_EVERY, Progress
from streams import crash_points
from streams.engines.redis_keys import META_KEY
from tests.acceptance.running import PROSA, clean_environment
from tests.operations.damaged_log import LEASE_SECONDS, DamagedLog, a_damaged_log
from tests.projections.read_model import PARTITIONS

KILLED_AT = """
import os, signal
from streams import crash_points

def reached(point):
    if point == os.environ["KILLED_AT"]:
        os.kill(os.getpid(), signal.SIGKILL)

crash_points.on_reached = reached
"""


@pytest.fixture
async def damaged(redis_url: str, empty_database_url: str) -> AsyncIterator[DamagedLog]:
    """It lost its tail in every partition, and was used on."""
    async with a_damaged_log(redis_url, empty_database_url) as log:
        await log.write(4)
        await log.project()
        for partition in range(PARTITIONS):
            await log.lose_tail(partition, keep=5)
        await log.write(1)
        yield log


async def prosa_repair(
    damaged: DamagedLog, *arguments: str, killed_at: str = "", directory: Path | None = None
) -> tuple[int, str]:
    """Its exit code and everything it printed."""
    database_url = damaged.database._url
    environment = clean_environment(
        REDIS_URL=damaged.url, DATABASE_URL=database_url, STREAM_PARTITIONS=str(PARTITIONS), LEASE_SECONDS=str(LEASE_SECONDS)
    )
    if directory:
        (directory / "sitecustomize.py").write_text(KILLED_AT)
        path = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {"KILLED_AT": killed_at, "PYTHONPATH": os.pathsep.join(path)}
    process = await asyncio.create_subprocess_exec(
        PROSA,
        "repair",
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_dry_run_shows_what_is_lost_and_changes_nothing(damaged: DamagedLog) -> None:
    code, output = await prosa_repair(damaged, "--dry-run", "--json")
    found = json.loads(output)
    assert (code, found["agrees"], len(found["partitions"])) == (0, False, PARTITIONS)
    assert {(each["archived"], each["entries"], each["lost"], each["survivors"]) for each in found["partitions"]} == {
        (8, 7, 3, 2)
    }
    assert await damaged.redis.hget(META_KEY, "epoch") == b"1"


async def test_nothing_is_written_unless_somebody_said_so(damaged: DamagedLog) -> None:
    code, output = await prosa_repair(damaged)
    assert (code, "--yes" in output) == (1, True)
    assert await damaged.redis.hget(META_KEY, "epoch") == b"1"


async def test_it_tells_what_it_did_and_is_content_the_next_time(damaged: DamagedLog) -> None:
    code, output = await prosa_repair(damaged, "--yes")
    assert code == 0, output
    assert "The log is whole, in generation 2: 40 entries were written." in output
    assert "prosa:retired:1:*" in output
    assert "warning" not in output.lower(), "nobody is warned of what was asked for"
    code, output = await prosa_repair(damaged, "--yes")
    assert (code, "nothing to repair" in output) == (0, True)
    await damaged.assert_whole()


def test_a_long_repair_says_now_and_then_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """However odd the first batch was."""
    progress = Progress()
    for partition in (0, 1):
        for written in range(7, 3 * TELL_EVERY, 500):
            progress.tell(partition, written)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["partition 0"] * 2 + ["partition 1"] * 2


@pytest.mark.parametrize("point", [point for point in crash_points.POINTS if point.startswith("repair.")])
async def test_killed_anywhere_it_is_simply_run_again(damaged: DamagedLog, point: str, tmp_path: Path) -> None:
    code, output = await prosa_repair(damaged, "--yes", killed_at=point, directory=tmp_path)
    assert code == -signal.SIGKILL, output
    await damaged.write(1)
    code, output = await prosa_repair(damaged, "--yes")
    assert code == 0, output
    await damaged.assert_whole()
