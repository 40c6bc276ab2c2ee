"""One system, contacts who write to it, something that is done to it meanwhile, and what the checker says of the end."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import asyncpg
from redis.exceptions import RedisError

from tests.harness.checker import HARSH, STRICT, Allowed, Fate, fates_of, violations
from tests.harness.crashes import Action, Crash, fired
from tests.harness.faults import Fault
from tests.harness.history import History, Sources, acked_in, heads_of, history_of, is_quiet, who_is_behind
from tests.harness.nursery import Nursery
from tests.harness.scenario import few_contacts, let_them_write
from tests.harness.servers import Servers
from tests.harness.servers import servers as embedded_servers
from tests.harness.system import System, eventually

PATIENCE_SECONDS = 30.0
WHERE_SENDS_ARE_UNKNOWN = ("sender.listing", "sender.listed")
"""Points that are passed only where a call to Twilio ended without an answer."""
WHERE_CALLBACKS_ARE_LATE = ("sender.calling", "sender.called")
"""A quick callback would tell what came of a send before anybody has to look for it."""
CALLBACKS_ARE_LATE: Mapping[str, Any] = MappingProxyType({"callbacks": {"delay_seconds": 4}})
SENDS_ARE_UNKNOWN: Mapping[str, Any] = MappingProxyType({"create": {"500_before": 2, "reset_after": 2}})
LOOK_SECONDS = 0.2
BEFORE_SECONDS = (0.1, 2.0)
"""How long contacts have been writing when something breaks."""
STOPPED_LEASES = 1.5
"""A process that stopped itself is woken after so many leases, when its partitions have long been taken over."""
AWAY = (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a server that was broken a moment ago may still answer."""
WOKEN_SECONDS = 1.0
"""How long a process that was paused may do harm before the end is judged."""
SETTLED_AFTER_SECONDS = 1.5
"""An attempt whose outcome took longer than the limit of a call was settled by looking for proof."""


@dataclass(frozen=True)
class Verdict:
    """What came of a trial; `recovery_seconds` is the longest wait for an answer after the fault, None where nobody waited."""

    spec: str
    fault: str
    has_happened: bool
    faults: int = 1
    what: str = ""
    messages: int = 0
    acked: int = 0
    sent: int = 0
    unconfirmed: int = 0
    dead_lettered: int = 0
    fetched: int = 0
    """Messages that were acknowledged and lost, and came back from Twilio."""
    recovery_seconds: float | None = None
    is_settling: bool = False
    """Whether a send of unknown outcome had to be settled, which takes a grace of its own."""
    ends: int = 0
    violations: Sequence[str] = field(default=())
    folder: str = ""

    def told(self) -> str:
        """One line."""
        outcome = "VIOLATED" if self.violations else "ok" if self.has_happened else "not reached"
        recovery = "" if self.recovery_seconds is None else f" {self.recovery_seconds:5.1f} s"
        settling = " settling" if self.is_settling else ""
        fetched = f" ({self.fetched} came back from Twilio)" if self.fetched else ""
        return f"{outcome:<11} {self.spec} {self.what}{fetched}{recovery}{settling}".rstrip()


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
        spec, allowed = f"crash {crash} seed {seed}", _allowed_after(crash)
        async with self.system(spec, seed, crash=crash) as system, _waking(system) as waking, system.running():
            await system.twilio.break_down(**_twilio_beside(crash))
            await let_them_write(few_contacts(seed), system.twilio)
            history = await self.settled(system, allowed)
            begun = fired(system.points)
            if begun and crash.action is Action.STOP:
                await waking
                await asyncio.sleep(WOKEN_SECONDS)
                history = await self.settled(system, allowed)
            return self.judged(spec, f"crash {crash.action}", history, allowed, begun.at if begun else None, system)

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
            return self.judged(spec, fault.name, history, fault.allowed, begun_at, system, what)

    async def calm(self, seed: int, **twilio: Any) -> Verdict:
        """No process is broken, though perhaps Twilio is; the verdict's folder holds how often each point was passed."""
        spec = f"calm seed {seed}" if not twilio else f"calm though Twilio is not seed {seed}"
        async with self.system(spec, seed, counts_points=True) as system, system.running():
            await system.twilio.break_down(**twilio)
            await let_them_write(few_contacts(seed), system.twilio)
            history = await self.settled(system, STRICT)
            return self.judged(spec, "calm", history, STRICT, None, system)

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
                settings={name: value for kind in kinds for name, value in kind.settings.items()},
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

    def judged(
        self,
        spec: str,
        fault: str,
        history: History,
        allowed: Allowed,
        begun_at: float | None,
        system: System,
        what: str = "",
        faults: int = 1,
    ) -> Verdict:
        """What the checker says; kept in the system's folder with the whole history. Begun in seconds since 1970."""
        found = violations(history, allowed)
        fates = [fate for each in fates_of(history).values() for fate in each]
        verdict = Verdict(
            spec=spec,
            fault=fault,
            has_happened=begun_at is not None,
            faults=faults if begun_at is not None else 0,
            what=what,
            messages=len(history.written),
            acked=sum(each.is_acked for each in history.written),
            sent=len(history.accepted),
            unconfirmed=fates.count(Fate.UNCONFIRMED),
            dead_lettered=fates.count(Fate.DEAD_LETTERED),
            fetched=sum(each.is_acked and each.sid in history.fetched for each in history.written),
            recovery_seconds=longest_wait(history, begun_at) if begun_at else None,
            is_settling=any(each.seconds is None or each.seconds > SETTLED_AFTER_SECONDS for each in history.attempts.values()),
            ends=len(history.ends),
            violations=tuple(found),
            folder=str(system.directory),
        )
        keep(history, verdict, system.directory)
        return verdict


def sources_of(system: System) -> Sources:
    return Sources(system.twilio, system.database, system.redis, system.partitions)


def longest_wait(history: History, since: float) -> float | None:
    """The longest that anybody waited after this moment (in seconds since 1970) for an answer that came after it."""
    written = {each.contact: [] for each in history.written}  # type: dict[str, list[float]]
    for message in history.written:
        written[message.contact].append(message.at)
    waits = []
    for contact, times in written.items():
        replies = sorted(each.at for each in history.accepted if each.contact == contact)
        for at in times:
            answered = next((reply for reply in replies if reply >= at), None)
            if answered is not None and answered > since:
                waits.append(answered - max(at, since))
    return max(waits, default=None)


def keep(history: History, verdict: Verdict, directory: Path) -> None:
    """What a person wants to see of a trial: the verdict, the log and the rows; the ledger and the outputs lie there already."""
    (directory / "verdict.json").write_text(json.dumps(asdict(verdict), indent=2))
    log = [f"{each.partition} {each.position} {each.value.decode(errors='replace')}" for each in history.records]
    (directory / "log.txt").write_text("\n".join(log))
    (directory / "rows.json").write_text(json.dumps(history.tables, indent=1, default=str))
    (directory / "ends.json").write_text(json.dumps([asdict(each) for each in history.ends], indent=1))


def _twilio_beside(crash: Crash) -> Mapping[str, Any]:
    """What Twilio does wrong in a trial of this point."""
    if crash.point in WHERE_SENDS_ARE_UNKNOWN:
        return SENDS_ARE_UNKNOWN
    return CALLBACKS_ARE_LATE if crash.point in WHERE_CALLBACKS_ARE_LATE else {}


def _allowed_after(crash: Crash) -> Allowed:
    """A webhook that dies takes callbacks with it."""
    return HARSH if crash.point.startswith("webhook.") else STRICT


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
