"""
`prosa dev`: everything on one machine, as the processes that production runs, supervised.

The servers start first and stop last. Every child has its own session, so that Ctrl-C reaches only us and each is asked to
stop in its turn; each dies with us when we are killed.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from projections.migrate import migrate
from settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_SECRET, DEVELOPMENT_TOKEN
from simulator import embedded_launch
from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, is_taken

HOST = "127.0.0.1"
READY_SECONDS = 60
STOP_SECONDS = 30
RESTARTS_IN_A_ROW = 5
STEADY_SECONDS = 10
"""A child that ran this long before it ended is started anew without counting against it."""

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")


class DevelopmentError(Exception):
    """Something that the user can put right; the message says how."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens on the loopback address; `metrics` is the first worker's, and the clock's follows the last's."""

    webhook: int
    simulator: int
    valkey: int
    postgres: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, and where its data are."""

    ports: Ports
    workers: int
    directory: Path

    @property
    def clock_metrics(self) -> int:
        return self.ports.metrics + self.workers

    @property
    def webhook_url(self) -> str:
        return f"http://{HOST}:{self.ports.webhook}"

    @property
    def simulator_url(self) -> str:
        return f"http://{HOST}:{self.ports.simulator}"


@dataclass(slots=True)
class Child:
    """One supervised process; `ready_url` answers 200 once it can do its work."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str
    port: int
    process: asyncio.subprocess.Process | None = None
    is_stopping: bool = False


async def run(plan: Plan, console: Console) -> None:
    """Start everything, show what it says, and stop it again at SIGINT or SIGTERM. Raises `DevelopmentError`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    _require_free_ports(plan)
    with console.status("Starting the servers …"):
        servers = _start_servers(plan)
    try:
        addresses = _addresses(plan, servers)
        with console.status("Bringing the database up to date …"):
            await asyncio.to_thread(migrate, addresses["DATABASE_URL"])
        _write_addresses(plan, addresses)
        await _run_children(plan, addresses, console, stop)
    finally:
        for server in reversed(servers):
            server.stop()
        _addresses_file(plan.directory).unlink(missing_ok=True)
    console.print("Stopped; the data stay in", str(plan.directory))


def read_addresses(directory: Path) -> dict[str, str]:
    """What a running `prosa dev` in this directory listens on. Raises `DevelopmentError` where none runs."""
    try:
        addresses: dict[str, str] = json.loads(_addresses_file(directory).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DevelopmentError(f"nothing runs in {directory}; start it with: make run") from None
    return addresses


def _addresses_file(directory: Path) -> Path:
    return directory / "development.json"


def _write_addresses(plan: Plan, addresses: Mapping[str, str]) -> None:
    """For `prosa say` and its like; it holds passwords, and only its owner may read it."""
    path = _addresses_file(plan.directory)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(addresses, file, indent=2)


def _require_free_ports(plan: Plan) -> None:
    options = {
        "--port": plan.ports.webhook,
        "--simulator-port": plan.ports.simulator,
        "--valkey-port": plan.ports.valkey,
        "--postgres-port": plan.ports.postgres,
        "--metrics-port": plan.ports.metrics,
    }
    taken = [(option, port) for option, port in options.items() if is_taken(port)]
    taken += [("--metrics-port", port) for port in range(plan.ports.metrics + 1, plan.clock_metrics + 1) if is_taken(port)]
    if taken:
        option, port = taken[0]
        raise DevelopmentError(f'port {port} is taken; choose another: make run ARGS="{option} {port + 1}"')


def _start_servers(plan: Plan) -> list[EmbeddedServer]:
    servers: list[EmbeddedServer] = [
        EmbeddedValkey(plan.directory / "valkey", plan.ports.valkey),
        EmbeddedPostgres(plan.directory / "postgres", plan.ports.postgres),
    ]
    try:
        for server in servers:
            server.start()
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return servers


def _addresses(plan: Plan, servers: Sequence[EmbeddedServer]) -> dict[str, str]:
    valkey, postgres = servers
    return {
        "REDIS_URL": valkey.url,
        "DATABASE_URL": postgres.url,
        "PUBLIC_BASE_URL": plan.webhook_url,
        "TWILIO_API_URL": plan.simulator_url,
        "TWILIO_ACCOUNT_SID": DEVELOPMENT_ACCOUNT,
        "TWILIO_AUTH_TOKEN": DEVELOPMENT_TOKEN,
        "SECRET_KEY": DEVELOPMENT_SECRET,
        "ENVIRONMENT": "development",
    }


def _children(plan: Plan, addresses: Mapping[str, str]) -> list[Child]:
    environment = {**os.environ, **addresses, "PYTHONUNBUFFERED": "1"}
    handlers = {**environment, "METRICS_PORT": str(plan.ports.metrics)}
    clock = {**environment, "METRICS_PORT": str(plan.clock_metrics)}
    faststream = [sys.executable, "-m", "faststream", "run"]
    workers = ["--workers", str(plan.workers)] if plan.workers > 1 else []
    webhook = [sys.executable, "-m", "uvicorn", "webhook:app", "--host", HOST, "--port", str(plan.ports.webhook)]
    inbound = ["--inbound-url", f"{plan.webhook_url}/webhooks/twilio/messages"]
    ledger = ["--ledger", str(plan.directory / "simulator.jsonl")]
    simulator = [sys.executable, "-m", "simulator", "--port", str(plan.ports.simulator), *inbound, *ledger]
    ready = "/health/ready"
    return [
        Child("simulator", simulator, environment, f"{plan.simulator_url}/simulator/health", plan.ports.simulator),
        Child("clock", [*faststream, "handlers:clock"], clock, f"http://{HOST}:{plan.clock_metrics}{ready}", plan.clock_metrics),
        Child(
            "handlers",
            [*faststream, "handlers:app", *workers],
            handlers,
            f"http://{HOST}:{plan.ports.metrics}{ready}",
            plan.ports.metrics,
        ),
        Child("webhook", webhook, environment, f"{plan.webhook_url}{ready}", plan.ports.webhook),
    ]


async def _run_children(plan: Plan, addresses: Mapping[str, str], console: Console, stop: asyncio.Event) -> None:
    children = _children(plan, addresses)
    console.print("Starting", ", ".join(child.name for child in children), "…")
    supervision = [
        asyncio.create_task(_supervise(child, console, colour)) for colour, child in zip(_COLOURS, children, strict=False)
    ]
    stopped = asyncio.create_task(stop.wait())
    try:
        if await _ends_first(asyncio.create_task(_all_ready(children)), stopped, *supervision):
            console.print(_links(plan))
        await _ends_first(stopped, *supervision)
    finally:
        console.print("Stopping …")
        for child in reversed(children):
            await _stop(child)
        for task in (stopped, *supervision):
            task.cancel()
        await asyncio.gather(stopped, *supervision, return_exceptions=True)


async def _ends_first(task: asyncio.Task[Any], *others: asyncio.Task[Any]) -> bool:
    """Wait until one of these ends, and tell whether it was the first one named. What any of them raised is raised."""
    done, _ = await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        ended.result()
    if task not in done and task not in others:
        task.cancel()
    return task in done


async def _supervise(child: Child, console: Console, colour: str) -> None:
    """Keep one process running, and say when it had to be started again. Raises `DevelopmentError` if that does not help."""
    failures = 0
    while True:
        started = asyncio.get_running_loop().time()
        child.process = await _spawn(child)
        await _show(child.process, child.name, console, colour)
        code = await child.process.wait()
        if child.is_stopping:
            return
        failures = 1 if asyncio.get_running_loop().time() - started > STEADY_SECONDS else failures + 1
        if failures >= RESTARTS_IN_A_ROW:
            raise DevelopmentError(f"{child.name} ended {failures} times in a row; its last lines say why")
        console.print(f"{child.name} ended with code {code}; starting it again", style="bold red")
        await asyncio.sleep(failures)


async def _spawn(child: Child) -> asyncio.subprocess.Process:
    launch = embedded_launch.Launch(parent=os.getpid(), death_signal=signal.SIGTERM, user=None, reach=[])
    launcher = [sys.executable, "-I", "-S", embedded_launch.__file__, json.dumps(launch)]
    return await asyncio.create_subprocess_exec(
        *launcher,
        *child.command,
        env=child.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1024 * 1024,
    )


async def _show(process: asyncio.subprocess.Process, name: str, console: Console, colour: str) -> None:
    if process.stdout is None:
        return
    async for line in process.stdout:
        console.print(f"[{colour}]{name:>9}[/] ", end="", highlight=False)
        console.out(line.decode(errors="replace").rstrip(), highlight=False)


async def _all_ready(children: Sequence[Child]) -> None:
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as session:
        for child in children:
            while not await _answers(session, child.ready_url):
                if asyncio.get_running_loop().time() > deadline:
                    raise DevelopmentError(f"{child.name} was not ready after {READY_SECONDS} seconds; its lines above say why")
                await asyncio.sleep(0.1)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


async def _stop(child: Child) -> None:
    """Ask, wait, and at last kill this process and no other."""
    child.is_stopping = True
    process = child.process
    if process is not None and process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()


def _links(plan: Plan) -> Table:
    table = Table(title="Prosa is running; Ctrl-C stops it", title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_row("Write to it, in a second terminal", '.venv/bin/prosa say "Olá!"')
    table.add_row("Webhook", f"{plan.webhook_url}/health/ready")
    table.add_row("Metrics", f"{plan.webhook_url}/metrics  http://{HOST}:{plan.ports.metrics}/metrics")
    table.add_row("What each phone received", f"{plan.simulator_url}/simulator/phones")
    table.add_row("Postgres, Valkey", f"{HOST}:{plan.ports.postgres}, {HOST}:{plan.ports.valkey}")
    table.add_row("Their addresses with passwords", str(_addresses_file(plan.directory)))
    return table
