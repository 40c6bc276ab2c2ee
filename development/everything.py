"""
One run, from the first server's start to the last one's end.

The servers start first and stop last. A signal stops everything in order, at any moment; a second one kills what still works.
"""

import asyncio
import signal
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
from rich.console import Console

from development.errors import DevelopmentError
from development.plan import HOST, Plan, addresses, programs, require_free_ports, url
from development.supervision import Child, Program
from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey

READY_SECONDS = 60.0
STILL_WAITING_SECONDS = 10.0
LEFTOVER_SECONDS = 15.0
"""How long the processes of a run that was killed may still hold their ports."""
LOOK_SECONDS = 0.5
POLL_SECONDS = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COLOURS = {"simulator": "cyan", "clock": "green", "handlers": "magenta", "webhook": "yellow"}


class _Interrupted(BaseException):
    """A signal came while nothing listened that could stop in order."""


def run(plan: Plan, console: Console) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP. Raises `DevelopmentError`."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with plan.directory.claimed():
            _wait_for_ports(plan)
            asyncio.run(Everything(plan, console).run())
    except _Interrupted:
        pass
    console.print(f"Stopped; the data stay in {plan.directory.path}", soft_wrap=True)


def _interrupt(*_: object) -> None:
    raise _Interrupted


def _wait_for_ports(plan: Plan) -> None:
    deadline = time.monotonic() + (LEFTOVER_SECONDS if plan.directory.has_leftovers else 0)
    while True:
        try:
            require_free_ports(plan)
        except DevelopmentError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


class Everything:
    """The servers and the processes of one run."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._servers: list[EmbeddedServer] = []
        self._children: dict[str, Child] = {}
        self._stop = asyncio.Event()
        self._problem: str | None = None
        self._started_at = time.monotonic()

    async def run(self) -> None:
        """Start everything, wait for a signal, and stop everything. Raises `DevelopmentError` and `ServerError`."""
        try:
            valkey, postgres = self._start_servers()
            self._listen_to_signals()
            settings = addresses(self._plan, valkey.url, postgres.url)
            self._children = {program.name: self._child(program) for program in programs(self._plan, settings)}
            await self._unless_stopped(self._serve(settings))
        finally:
            await self._stop_children()
            for server in reversed(self._servers):
                server.stop()
            self._plan.directory.forget_addresses()
        if self._problem:
            raise DevelopmentError(self._problem)

    def _start_servers(self) -> tuple[EmbeddedServer, EmbeddedServer]:
        """In the main thread: Linux ties their lives to the thread that started them."""
        directory = self._plan.directory.path / "postgres"
        self._say("Starting Valkey and Postgres …" if directory.exists() else "Starting Valkey, and making the database …")
        valkey = EmbeddedValkey(self._plan.directory.path / "valkey", self._plan.ports.valkey)
        postgres = EmbeddedPostgres(directory, self._plan.ports.postgres)
        for server in (valkey, postgres):
            self._servers.append(server)
            server.start()
        return valkey, postgres

    def _listen_to_signals(self) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            for child in self._children.values():
                child.kill()
        self._stop.set()

    async def _serve(self, settings: Mapping[str, str]) -> None:
        """What needs no tables starts while they are made."""
        self._start("simulator", "webhook")
        await asyncio.to_thread(_migrate, settings["DATABASE_URL"])
        self._plan.directory.write_addresses(settings)
        self._start("handlers", "clock")
        await self._all_ready()
        self._show_links()
        await self._watch_servers()

    def _start(self, *names: str) -> None:
        self._say(f"Starting {' and '.join(names)} …")
        for name in names:
            self._children[name].start()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it until it fails or we are to stop."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            task.result()
        task.cancel()

    async def _all_ready(self) -> None:
        begun = time.monotonic()
        told = 1
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as session:
            for child in self._children.values():
                for ready_url in child.program.ready_urls:
                    while not await _answers(session, ready_url):
                        name, waited = child.program.name, time.monotonic() - begun
                        if waited > READY_SECONDS:
                            raise DevelopmentError(f"{name} was not ready after {READY_SECONDS:.0f} s; its lines say why")
                        if waited > told * STILL_WAITING_SECONDS:
                            told += 1
                            self._say(f"Still waiting for {name} …")
                        await asyncio.sleep(POLL_SECONDS)

    async def _watch_servers(self) -> None:
        """A server that has ended is started again, with everything that it had acknowledged."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for server in self._servers:
                if server.process.poll() is not None:
                    self._warn(f"{server.name} has ended; starting it again")
                    server.start()

    async def _stop_children(self) -> None:
        """First who makes work; then the simulator, whose last callbacks the webhook still takes."""
        if self._children:
            self._say("Stopping …")
        for names in (("handlers", "clock"), ("simulator",), ("webhook",)):
            await asyncio.gather(*(self._children[name].stop() for name in names if name in self._children))

    def _child(self, program: Program) -> Child:
        prefix = f"[{COLOURS[program.name]}]{program.name:>9}[/] "

        def show(line: str) -> None:
            self._console.print(prefix, end="", highlight=False)
            self._console.out(line, highlight=False)

        return Child(program, show=show, warn=self._warn, give_up=self._give_up)

    def _give_up(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._stop.set()

    def _show_links(self) -> None:
        plan = self._plan
        self._say(f"\nProsa runs after {time.monotonic() - self._started_at:.1f} seconds; Ctrl-C stops it.", style="bold")
        for title, value in {
            "Write to it, in a second terminal": '.venv/bin/prosa say "Olá!"',
            "Webhook": f"{plan.webhook_url}/health/ready",
            "Metrics": f"{plan.webhook_url}/metrics {url(plan.ports.metrics, '/metrics')}",
            "What each phone received": f"{plan.simulator_url}/simulator/phones",
            "Postgres, Valkey": f"{HOST}:{plan.ports.postgres}, {HOST}:{plan.ports.valkey}",
            "Their addresses with passwords": str(plan.directory.addresses_file),
        }.items():
            self._say(f"  {title:<33}  {value}")
        self._say("")

    def _say(self, sentence: str, *, style: str | None = None) -> None:
        self._console.print(sentence, style=style, markup=False, highlight=False, soft_wrap=True)

    def _warn(self, sentence: str) -> None:
        self._say(sentence, style="bold red")


def _migrate(database_url: str) -> None:
    """The library takes a moment to load, in which the first processes start."""
    from projections.migrate import migrate

    migrate(database_url)


async def _answers(session: aiohttp.ClientSession, ready_url: str) -> bool:
    try:
        async with session.get(ready_url) as response:
            return response.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
