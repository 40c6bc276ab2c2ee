"""
One run, from the first server's start to the last one's end.

The settings are checked before anything starts. The servers start first and stop last. A signal stops everything in order, at any
moment, and so does the end of whoever reads the output through a pipe; a second signal kills what still works.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from rich.console import Console

from development.commands import data_option, prosa_command, shown
from development.errors import DevelopmentError
from development.output import Output
from development.plan import HOST, Plan, addresses, programs
from development.ports import on_free_ports, require_possible_ports, wait_for_last_run
from development.settings_check import checked_settings
from development.supervision import Child, Show
from settings import Settings, misspelt_settings
from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from streams.errors import CheckpointAhead

STOP_ORDER = (("handlers", "clock"), ("simulator",), ("webhook",))
READY_SECONDS = 60.0
STILL_WAITING_SECONDS = 5.0
STILL_STOPPING_SECONDS = 4.0
LOOK_SECONDS = 0.5
POLL_SECONDS = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SERVER_STOP_SECONDS = 10.0
HURRIED_STOP_SECONDS = 1.0
"""How long a server may take to stop: on the first signal, and after the second."""


class _Interrupted(BaseException):
    """A signal came while nothing listened that could stop in order."""


def run(plan: Plan, console: Console) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP. Raises `DevelopmentError` and `ConfigurationError`."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    output = Output(console)
    try:
        settings = checked_settings(plan)
        require_possible_ports(plan)
        with plan.directory.claimed():
            wait_for_last_run(plan, output.say)
            asyncio.run(Everything(on_free_ports(plan, output.say), settings, output).run())
    except _Interrupted:
        pass
    output.say(f"Stopped; the data stay in {shown(plan.directory.path)}")


def _interrupt(*_: object) -> None:
    raise _Interrupted


class Everything:
    """The servers and the processes of one run."""

    def __init__(self, plan: Plan, settings: Settings, output: Output) -> None:
        self._plan = plan
        self._settings = settings
        self._output = output
        self._servers: list[EmbeddedServer] = []
        self._children: dict[str, Child] = {}
        self._stop = asyncio.Event()
        self._hurry = False
        self._problem: str | None = None
        self._has_lost_tail = False
        self._started_at = time.monotonic()
        output.call_when_gone(self._stop.set)

    async def run(self) -> None:
        """Start everything, wait for a signal, and stop everything. Raises `DevelopmentError` and `ServerError`."""
        try:
            valkey, postgres = self._start_servers()
            self._listen_to_signals()
            where = addresses(self._plan, valkey.url, postgres.url)
            sender = self._settings.twilio_sender
            started = programs(self._plan, where, sender=sender, has_colours=self._output.has_colours)
            self._children = {
                program.name: Child(program, show=self._lines_of(program.name), warn=self._output.warn, give_up=self._give_up)
                for program in started
            }
            await self._unless_stopped(self._serve(where))
        finally:
            await self._stop_everything()
        if self._problem:
            raise DevelopmentError(self._problem)

    def _start_servers(self) -> tuple[EmbeddedServer, EmbeddedServer]:
        """In the main thread: Linux ties their lives to the thread that started them."""
        for misspelling in misspelt_settings():
            self._output.warn(f"{misspelling.name} in .env is no setting; did you mean {misspelling.meant}?")
        directory = self._plan.directory.path / "postgres"
        self._output.say(
            "Starting Valkey and Postgres …" if directory.exists() else "Starting Valkey, and making the database, once …"
        )
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
            self._hurry = True
            self._output.say(f"Not waiting any longer for {self._awaited}")
            for child in self._children.values():
                child.kill()
        self._stop.set()

    @property
    def _awaited(self) -> str:
        """What has been asked to stop and has not yet."""
        children = ([name for name in names if name in self._children] for names in STOP_ORDER)
        running = ([name for name in names if self._children[name].is_running] for names in children)
        servers = [server.name for server in reversed(self._servers) if server.is_running]
        return " and ".join(next(filter(None, running), servers[:1])) or "anything"

    async def _serve(self, where: Mapping[str, str]) -> None:
        """What needs no tables starts while they are made."""
        self._start("simulator", "webhook")
        await asyncio.to_thread(_migrate, where["DATABASE_URL"])
        metrics = {"METRICS_HOST": HOST, "METRICS_PORT": str(self._plan.ports.metrics)}
        self._plan.directory.write_addresses({**where, **metrics})
        self._start("handlers", "clock")
        await self._all_ready()
        self._output.show_links(self._plan, where, seconds=time.monotonic() - self._started_at)
        await self._watch_servers()

    def _start(self, *names: str) -> None:
        self._output.say(f"Starting {' and '.join(names)} …")
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
                            self._output.say(f"Still waiting for {name} …")
                        await asyncio.sleep(POLL_SECONDS)

    async def _watch_servers(self) -> None:
        """A server that has ended is started again, with everything that it had acknowledged, as long as somebody reads us."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._output.look_for_reader()
            for server in self._servers:
                if server.process.poll() is not None:
                    self._output.warn(f"{server.name} has ended; starting it again")
                    server.start()

    async def _stop_everything(self) -> None:
        """First who makes work; then the simulator, whose last callbacks the webhook still takes; the servers last."""
        self._listen_to_signals()
        self._stop.set()
        if self._children:
            self._output.say("Stopping …")
        async with self._telling_what_takes_long():
            for names in STOP_ORDER:
                await asyncio.gather(*(self._children[name].stop() for name in names if name in self._children))
            for server in reversed(self._servers):
                await asyncio.to_thread(server.stop, HURRIED_STOP_SECONDS if self._hurry else SERVER_STOP_SECONDS)
        self._plan.directory.forget_addresses()

    @asynccontextmanager
    async def _telling_what_takes_long(self) -> AsyncIterator[None]:
        async def tell() -> None:
            while True:
                await asyncio.sleep(STILL_STOPPING_SECONDS)
                self._output.say(f"Still waiting for {self._awaited} to finish; Ctrl-C again ends everything at once …")

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()

    def _lines_of(self, name: str) -> Show:
        """Where a program's lines go; the handlers' tell why they cannot go on."""
        show = self._output.lines_of(name)

        def look(line: str) -> None:
            self._has_lost_tail |= name == "handlers" and CheckpointAhead.__name__ in line
            show(line)

        return look

    def _give_up(self, problem: str) -> None:
        if self._has_lost_tail:
            problem = f"the log lost what was folded of it; type: {prosa_command()} repair{data_option(self._plan.directory)}"
        self._problem = self._problem or problem
        self._stop.set()


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
