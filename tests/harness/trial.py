"""One system, contacts who write to it, something that is done to it meanwhile, and what the checker says of the end."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import asyncpg
from redis.exceptions import RedisError

from tests.harness.allowed import Allowed
from tests.harness.checker import violations
from tests.harness.crashes import Action, Crash, fired
from tests.harness.faults import Fault
from tests.harness.history import History, Sources, acked_in, heads_of, history_of, is_quiet, who_is_behind
from tests.harness.nursery import Nursery
from tests.harness.scenario import few_contacts, let_them_write
from tests.harness.scenes import Scene, scene_of
from tests.harness.servers import Servers
from tests.harness.servers import servers as embedded_servers
from tests.harness.system import System, eventually
from tests.harness.verdict import Verdict, judged

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.2
BEFORE_SECONDS = (0.1, 2.0)
"""How long contacts have been writing when something breaks."""
STOPPED_LEASES = 1.5
"""A process that stopped itself is woken after so many leases, when its partitions have long been taken over."""
AWAY = (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a server that was broken a moment ago may still answer."""
WOKEN_SECONDS = 1.0
"""How long a process that was paused may do harm before the end is judged."""


@dataclass
class Trial:
    """What is common to many trials. Each works in a folder of its own, and leaves it where something is wrong."""

    nursery: Nursery
    servers: Servers
    directory: Path
    stack: ExitStack = field(default_factory=ExitStack)
    """Where what outlives one trial is left to be stopped."""
    _breakable: Servers | None = None
    _breaking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def crash(self, crash: Crash, seed: int) -> Verdict:
        """A process ends or stops itself at a crash point."""
        spec, scene = f"crash {crash} seed {seed}", scene_of(crash.point)
        making = self.system(spec, seed, crash=crash, settings=scene.settings)
        async with making as system, _waking(system) as waking, system.running():
            await scene.play(system, seed)
            history = await self.settled(system, scene.allowed)
            begun = fired(system.points)
            if begun and crash.action is Action.STOP:
                await waking
                await asyncio.sleep(WOKEN_SECONDS)
                history = await self.settled(system, scene.allowed)
            return judged(spec, crash.name, history, scene.allowed, begun.at if begun else None, system)

    async def fault(self, fault: Fault, seed: int) -> Verdict:
        """Something is broken while contacts write, and healed."""
        spec = f"{fault.name} seed {seed}"
        random = Random(seed)  # noqa: S311 - repeatable, not secret
        async with self.system(spec, seed, kinds=[type(fault)]) as system, system.running():
            writing = asyncio.create_task(let_them_write(few_contacts(seed), system.twilio))
            await asyncio.sleep(random.uniform(*BEFORE_SECONDS))
            begun_at = time.time()
            try:
                what = await fault.inject(system, random)
                await asyncio.sleep(random.uniform(*fault.hold_seconds))
            finally:
                await fault.heal(system)
            await writing
            await asyncio.sleep(WOKEN_SECONDS)
            history = await self.settled(system, fault.allowed)
            what = ", ".join(filter(None, (what, fault.healed)))
            return judged(spec, fault.name, history, fault.allowed, begun_at, system, what)

    async def calm(self, scene: Scene, seed: int) -> Verdict:
        """The scene without a crash; the verdict's folder holds how often each point was passed."""
        spec = f"{scene.name} seed {seed}"
        async with self.system(spec, seed, counts_points=True, settings=scene.settings) as system, system.running():
            await scene.play(system, seed)
            history = await self.settled(system, scene.allowed)
            return judged(spec, scene.name, history, scene.allowed, None, system)

    async def settled(self, system: System, allowed: Allowed, patience_seconds: float = PATIENCE_SECONDS) -> History:
        """The history once nothing is wrong with it, or as it is when the patience is over."""
        sources = sources_of(system)
        deadline = time.monotonic() + patience_seconds
        heads: dict[int, int] | None = None
        acked = await acked_in(sources)
        while time.monotonic() < deadline:
            with suppress(*AWAY):
                if await is_quiet(sources, acked):
                    heads = heads if heads is not None else await heads_of(sources)
                    if not await who_is_behind(sources, heads):
                        history = await history_of(sources, heads, system.ends)
                        if not violations(history, allowed):
                            return history
            await asyncio.sleep(LOOK_SECONDS)
        return await history_of(sources, heads, system.ends)

    @asynccontextmanager
    async def system(
        self,
        spec: str,
        seed: int,
        *,
        crash: Crash | None = None,
        kinds: Sequence[type[Fault]] = (),
        counts_points: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[System]:
        """One that is not started yet, made for these kinds of faults."""
        async with AsyncExitStack() as stack:
            servers = self.servers
            if any(kind.needs_own_servers for kind in kinds):
                servers = await stack.enter_async_context(self._own_servers())
            yield System(
                self.nursery,
                await stack.enter_async_context(servers.stores()),
                self.folder(spec),
                settings={**(settings or {}), **{name: value for kind in kinds for name, value in kind.settings.items()}},
                proxied=frozenset(link for kind in kinds for link in kind.proxied),
                counts_points=counts_points,
                crash=crash,
                seed=seed,
                servers=servers,
            )

    @asynccontextmanager
    async def _own_servers(self) -> AsyncIterator[Servers]:
        """Servers that one trial at a time may break; they run from the first on that needs them."""
        async with self._breaking:
            if self._breakable is None:
                self._breakable = self.stack.enter_context(embedded_servers(self.directory / "own servers"))
            yield self._breakable

    def folder(self, spec: str) -> Path:
        """Where a trial leaves what it has seen."""
        return self.directory / "".join(character if character.isalnum() else "-" for character in spec)


def sources_of(system: System) -> Sources:
    return Sources(system.twilio, system.database, system.redis, system.partitions)


@asynccontextmanager
async def _waking(system: System) -> AsyncIterator[asyncio.Task[None]]:
    """Continue a process that stopped itself, long after its leases are over."""

    async def has_stopped() -> bool:
        return fired(system.points) is not None

    async def wake() -> None:
        await eventually(has_stopped, math.inf, "it stops itself")
        await asyncio.sleep(system.lease_seconds * STOPPED_LEASES)
        system.resume_all()

    waking = asyncio.create_task(wake())
    try:
        yield waking
    finally:
        waking.cancel()
