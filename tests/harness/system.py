"""
One small Prosa: webhook, handlers, clock and simulator as real processes, on a log and a read model of their own.

What dies is started again at once, as an orchestrator does, and noted. Any connection can be led through a proxy.
"""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import aiohttp
import asyncpg
from redis.asyncio import Redis

from simulator.servers import free_port
from tests.harness.crashes import Crash
from tests.harness.nursery import Child, Nursery
from tests.harness.phone_company import PhoneCompany
from tests.harness.programs import CLOCK, QUICK, QUICK_DELIVERY, SIMULATOR, WEBHOOK, Ended, Program, clean_environment
from tests.harness.proxy import Proxy
from tests.harness.servers import Servers, Stores

POINTS = "points"
START_SECONDS, STOP_SECONDS = 30.0, 20.0
IDLE_SECONDS = 2.0
"""A connection that rested longer is not used again: the server ends it after five, perhaps just as a request is on its way."""
QUICK_DEATH_SECONDS = 1.0
"""A process that lived shorter than this is started again only after as long: what cannot start must not spin."""

T = TypeVar("T")


class Link(StrEnum):
    """A connection that can be led through a proxy."""

    LOG = "log"
    DATABASE = "database"
    TWILIO = "twilio"
    """From us to Twilio."""
    WEBHOOK = "webhook"
    """From Twilio to us."""


@dataclass
class System:
    """`points` is where its crash points are counted, if they are to be; `crash` is what happens at one of them."""

    nursery: Nursery
    stores: Stores
    directory: Path
    handlers: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    proxied: Collection[Link] = ()
    counts_points: bool = False
    crash: Crash | None = None
    inbound_rules: str = ""
    """The fragment by which Twilio's retries are set, e.g. `#rc=5&rp=all`."""
    seed: int = 0
    servers: Servers | None = None
    """Those that hold its stores; a fault may break them where it asked for its own."""
    programs: dict[str, Program] = field(default_factory=dict)
    links: dict[Link, Proxy] = field(default_factory=dict)
    ends: list[Ended] = field(default_factory=list)
    _beside: list[Child] = field(default_factory=list)
    """What was typed, and may still run."""
    _typed: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.webhook_port, self.simulator_port = free_port(), free_port()
        self.started_at = time.monotonic()
        if self.crash or self.counts_points:
            self.points.mkdir(exist_ok=True)

    @property
    def points(self) -> Path:
        return self.directory / POINTS

    @property
    def handler_names(self) -> list[str]:
        return [f"handlers-{number}" for number in range(1, self.handlers + 1)]

    @property
    def partitions(self) -> int:
        return int({**QUICK, **self.settings}["STREAM_PARTITIONS"])

    @property
    def lease_seconds(self) -> float:
        return float({**QUICK, **self.settings}["LEASE_SECONDS"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator["System"]:
        """Everything started and ready; whatever happens, nothing of it is left."""
        async with AsyncExitStack() as stack:
            await self._connect(stack)
            self.programs = self._programs()
            stack.push_async_callback(self.stop_all)
            await asyncio.gather(*(self.start(name) for name in self.programs))
            await eventually(self.is_ready, START_SECONDS, f"{self.directory} is ready")
            yield self

    async def _connect(self, stack: AsyncExitStack) -> None:
        targets = {
            Link.LOG: self.stores.redis_url,
            Link.DATABASE: self.stores.database_url,
            Link.TWILIO: f"http://127.0.0.1:{self.simulator_port}",
            Link.WEBHOOK: f"http://127.0.0.1:{self.webhook_port}",
        }
        for link in self.proxied:
            self.links[link] = await stack.enter_async_context(Proxy(targets[link], self.seed))
        self._urls = {link: self.links[link].url if link in self.links else target for link, target in targets.items()}
        self.twilio = PhoneCompany(await stack.enter_async_context(_session(targets[Link.TWILIO])))
        self.redis = await stack.enter_async_context(Redis.from_url(self.stores.redis_url))
        pool = asyncpg.create_pool(self.stores.database_url, min_size=0, max_size=2)
        self.database = await stack.enter_async_context(pool)
        self.web = await stack.enter_async_context(_session(targets[Link.WEBHOOK]))

    def _programs(self) -> dict[str, Program]:
        """Each as production starts it; what they are told differs only in addresses and in how long everything waits."""
        public = f"http://127.0.0.1:{self.webhook_port}"
        inbound = f"{public}/webhooks/twilio/messages{self.inbound_rules}"
        rewrite = f"{public}={self._urls[Link.WEBHOOK].rstrip('/')}"
        ledger = str(self.directory / "ledger.jsonl")
        simulator = ("simulator", "--port", str(self.simulator_port), "--inbound-url", inbound, "--rewrite", rewrite)
        commands = {
            SIMULATOR: (*simulator, "--ledger", ledger, "--seed", str(self.seed), *QUICK_DELIVERY),
            WEBHOOK: ("uvicorn", "webhook:app", "--port", str(self.webhook_port)),
            **dict.fromkeys(self.handler_names, ("faststream", "run", "handlers:app")),
            CLOCK: ("faststream", "run", "handlers:clock"),
        }
        environment = clean_environment(
            **{
                **QUICK,
                "PUBLIC_BASE_URL": public,
                "TWILIO_API_URL": self._urls[Link.TWILIO],
                "OPENAI_BASE_URL": f"http://127.0.0.1:{self.simulator_port}/model/v1",
                "REDIS_URL": self._urls[Link.LOG],
                "DATABASE_URL": self._urls[Link.DATABASE],
                **self.settings,
            }
        )
        return {name: Program(name, command, environment) for name, command in commands.items()}

    async def start(self, name: str) -> None:
        """Start it, and again whenever it ends, until it is stopped."""
        program = self.programs[name]
        program.is_wanted = True
        await self._launch(program)
        program.watching = asyncio.create_task(self._watch(program))

    async def type(self, words: Sequence[str], *, is_watched: bool = True) -> tuple[Child, Path]:
        """`prosa` with these words, and the file where it speaks; its crash points count if it is watched."""
        output = self.directory / f"prosa-{next(self._typed)}-{words[0]}.txt"
        output.touch()
        child = await self._child(("cli", *words), self.programs[CLOCK].environment, output, is_watched=is_watched)
        self._beside.append(child)
        return child, output

    async def _launch(self, program: Program) -> None:
        output = self.directory / f"{program.name}.txt"
        is_watched = program.name != SIMULATOR
        program.child = await self._child(program.arguments, program.environment, output, is_watched=is_watched)

    async def _child(self, words: Sequence[str], environment: Mapping[str, str], output: Path, *, is_watched: bool) -> Child:
        return await self.nursery.start(
            words,
            environment=environment,
            directory=self.directory,
            output=output,
            points=self.points if is_watched and (self.crash or self.counts_points) else None,
            crash=self.crash if is_watched else None,
        )

    async def _watch(self, program: Program) -> None:
        while True:
            end = await asyncio.shield(program.running.ended)
            if not program.is_wanted:
                return
            self.ends.append(Ended(program.name, end.code, end.at))
            if end.at - program.running.started_at < QUICK_DEATH_SECONDS:
                await asyncio.sleep(QUICK_DEATH_SECONDS)
            if not program.is_wanted:
                return
            await self._launch(program)

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and do not start it again; returns its exit code."""
        program = self.programs[name]
        program.is_wanted = False
        child = program.running
        child.signal(signal.SIGCONT)
        child.signal(number)
        try:
            return (await child.wait(STOP_SECONDS)).code
        finally:
            child.signal(signal.SIGKILL)

    async def stop_all(self) -> None:
        """Without ceremony, except for the simulator, whose ledger is a file."""
        for program in self.programs.values():
            program.is_wanted = False
            if program.watching is not None:
                program.watching.cancel()
        children = [program.child for program in self.programs.values() if program.child is not None]
        for child in (*children, *self._beside):
            child.signal(signal.SIGKILL)
        await asyncio.gather(*(child.wait(STOP_SECONDS) for child in (*children, *self._beside)))

    def kill(self, name: str) -> None:
        """SIGKILL; it is started again at once."""
        self.programs[name].running.signal(signal.SIGKILL)

    def pause(self, name: str) -> None:
        self.programs[name].running.signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.programs[name].running.signal(signal.SIGCONT)

    def resume_all(self) -> None:
        for name in self.programs:
            self.resume(name)
        for child in self._beside:
            child.signal(signal.SIGCONT)

    def name_of(self, pid: int) -> str:
        """Which program that process is, or was the last to be."""
        return next((name for name, program in self.programs.items() if program.running.pid == pid), "")

    async def is_ready(self) -> bool:
        """The webhook takes messages, Twilio answers, and every partition is owned."""
        for session, path in ((self.web, "/health/ready"), (self.twilio.session, "/simulator/health")):
            try:
                async with session.get(path) as response:
                    if response.status != 200:
                        return False
            except aiohttp.ClientError:
                return False
        return None not in await self.redis.mget([f"prosa:lease:{number}" for number in range(self.partitions)])

    def output(self, name: str) -> str:
        """What it said so far."""
        return (self.directory / f"{name}.txt").read_text(encoding="utf-8", errors="replace")


def _session(url: str) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(keepalive_timeout=IDLE_SECONDS)
    return aiohttp.ClientSession(url, trust_env=False, connector=connector)


async def eventually(look: Callable[[], Awaitable[T]], seconds: float, what: str) -> T:
    """Look until something is found; fail with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)
