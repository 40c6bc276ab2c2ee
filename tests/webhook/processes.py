"""`uvicorn webhook:app` as processes of their own, as a supervisor starts them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from simulator.servers import free_port
from tests.webhook.serving import DEADLINE_SECONDS, Client

ROOT = Path(__file__).parents[2]


def environment(**settings: str) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}


@asynccontextmanager
async def uvicorn(directory: Path, *flags: str, **settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Client]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "uvicorn", "webhook:app", "--port", str(port), *flags,
        cwd=directory, env=environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process, Client(port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def live(client: Client) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                if (await client.get("/health/live")).status == 200:
                    return
            except ConnectionError:
                await asyncio.sleep(0.05)


async def output_of(process: asyncio.subprocess.Process, seconds: float = DEADLINE_SECONDS) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(seconds):
        return (await process.stdout.read()).decode()
