"""Many trials, several at once, each told in a line that repeats it; what went wrong is kept in a folder."""

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
from redis.exceptions import RedisError

from streams import crash_points
from tests.harness import lost_log, twilio_faults
from tests.harness.crashes import Action, Crash, passings
from tests.harness.faults import FAULTS, Fault
from tests.harness.from_catalogue import CLASSES
from tests.harness.nursery import nursery
from tests.harness.scenes import ORDINARY, SCENES, Scene, scene_of
from tests.harness.servers import Servers
from tests.harness.system import POINTS
from tests.harness.trial import Trial
from tests.harness.verdict import Verdict

AT_ONCE = 4
SPEC = re.compile(
    r"(?:crash (?P<point>[\w.]+):(?P<occurrence>\d+) (?P<action>kill|stop|exit)|(?P<name>[\w-]+)) seed (?P<seed>\d+)"
)
KINDS: Sequence[type[Fault]] = (*FAULTS, *CLASSES, *lost_log.CLASSES, *twilio_faults.CLASSES)
"""Every class of fault. A system gets over each by itself, but for a log that lost something: that an operator repairs."""
COUNTED = (ORDINARY, *(scene for scene in SCENES if scene.counts))
"""What is played without a crash, to count how often each point is passed."""
TROUBLE = (AssertionError, TimeoutError, OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError, aiohttp.ClientError)
"""What ends a trial that cannot be judged: something does not start, or does not answer any more."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One trial to come. As text it is what `--only` takes."""

    kind: Crash | type[Fault]
    seed: int

    def __str__(self) -> str:
        return f"crash {self.kind} seed {self.seed}" if isinstance(self.kind, Crash) else f"{self.kind.name} seed {self.seed}"


def planned(text: str) -> Planned:
    """`crash POINT:OCCURRENCE ACTION seed N` or `FAULT seed N`. Raises `ValueError`."""
    found = SPEC.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is none; one looks like {Planned(Crash('sender.called', 2, Action.KILL), 7)}")
    seed = int(found["seed"])
    if found["name"]:
        return Planned(fault_named(found["name"]), seed)
    if found["point"] not in crash_points.POINTS:
        raise ValueError(f"there is no crash point {found['point']!r}")
    return Planned(Crash(found["point"], int(found["occurrence"]), Action(found["action"])), seed)


def fault_named(name: str) -> type[Fault]:
    """Raises `ValueError`."""
    for fault in KINDS:
        if fault.name == name:
            return fault
    raise ValueError(f"there is no fault {name!r}; there are {', '.join(fault.name for fault in KINDS)}")


@dataclass
class Campaign:
    """`tell` is given each line as it happens."""

    trial: Trial
    tell: Callable[[str], None]
    at_once: int = AT_ONCE
    finished: list[Verdict] = field(default_factory=list)
    """Every trial that came to its end, also where the run is interrupted."""

    async def points(self, seed: int) -> dict[str, int]:
        """How often each point is passed where nothing ends. Raises `AssertionError` where even that goes wrong."""
        few = asyncio.Semaphore(self.at_once)
        ordinary, *others = await asyncio.gather(*(self._passings(scene, seed, few) for scene in COUNTED))
        counted = dict(zip((scene.name for scene in COUNTED[1:]), others, strict=True))
        passed = {point: counted.get(scene_of(point).name, ordinary).get(point, 0) for point in crash_points.POINTS}
        return {point: times for point, times in passed.items() if times}

    async def _passings(self, scene: Scene, seed: int, few: asyncio.Semaphore) -> Mapping[str, int]:
        async with few:
            verdict = await self.trial.calm(scene, seed)
        assert not verdict.violations, verdict
        folder = Path(verdict.folder)
        counted = dict(passings(folder / POINTS))
        shutil.rmtree(folder)
        return counted

    async def run(self, plan: Iterable[Planned], deadline: float = float("inf")) -> list[Verdict]:
        """Until the plan is done, or nothing new is begun after the deadline, by the monotonic clock."""
        verdicts: list[Verdict] = []
        rest = iter(plan)

        async def work() -> None:
            for each in _until(rest, deadline):
                verdict = await self._verdict(each)
                verdicts.append(verdict)
                self.finished.append(verdict)
                self._note(verdict, len(verdicts))

        await asyncio.gather(*(work() for _ in range(self.at_once)))
        return verdicts

    async def _verdict(self, each: Planned) -> Verdict:
        try:
            if isinstance(each.kind, Crash):
                return await self.trial.crash(each.kind, each.seed)
            return await self.trial.fault(each.kind(), each.seed)
        except TROUBLE as trouble:
            told = (f"hang: {type(trouble).__name__} {trouble}",)
            return Verdict(
                str(each), each.kind.name, has_happened=True, violations=told, folder=str(self.trial.folder(str(each)))
            )

    def _note(self, verdict: Verdict, number: int) -> None:
        self.tell(f"{number:5} {verdict.told()}")
        for violation in verdict.violations[:10]:
            self.tell(f"        {violation}")
        if verdict.violations:
            self.tell(f"        history in {verdict.folder}")
        elif verdict.folder:
            shutil.rmtree(verdict.folder, ignore_errors=True)


@asynccontextmanager
async def campaign(
    servers: Servers,
    directory: Path,
    tell: Callable[[str], None],
    at_once: int = AT_ONCE,
    finished: list[Verdict] | None = None,
) -> AsyncIterator[Campaign]:
    """With a nursery for as long as this lasts; who gives `finished` has what was done by then if it is interrupted."""
    with ExitStack() as stack:
        async with nursery(directory / "zygote.txt") as children:
            yield Campaign(Trial(children, servers, directory, stack), tell, at_once, [] if finished is None else finished)


def _until(plan: Iterator[Planned], deadline: float) -> Iterator[Planned]:
    while time.monotonic() < deadline and (each := next(plan, None)) is not None:
        yield each
