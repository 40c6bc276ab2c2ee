"""
The log loses what it had acknowledged, and an operator mends it as the runbook says: see docs/operations.md.

The last appends are cut off the file while the server is down, one stream or the whole database is deleted. In half of the trials
the workers are dead by then, so that there are messages of which nobody but the lost tail knew; Twilio lists them, and the
reconciler must bring each back. What the archive has comes back by `prosa repair`, and nothing is sent again.
"""

import asyncio
import itertools
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, ClassVar, TypeAlias

from streams.engines.redis_keys import stream_key
from tests.harness import own_servers, valkey_faults
from tests.harness.allowed import LOST_TAIL, Allowed, Fate
from tests.harness.append_only_file import cut_appends
from tests.harness.faults import Fault
from tests.harness.operator_commands import reconcile, repair_where_needed
from tests.harness.programs import CLOCK
from tests.harness.system import System
from tests.harness.twilio_faults import BY_HAND, BY_THE_CLOCK, NO_PROOF, Healed, nothing_more

UNFOLDED_SECONDS = (0.3, 1.2)
"""How long contacts write while no worker folds it, before it is lost."""
SHARES = (0.0, 0.05, 0.3, 1.0)
"""How much of the appends is cut off; one at least."""
LATE_CONTACTS = 3

Lose: TypeAlias = Callable[[System, Random], Awaitable[str]]


async def flushed(system: System, _: Random) -> str:
    """As FLUSHALL, for this system."""
    await valkey_faults.flush_database(system.stores.redis_url)
    return "flushed"


async def stream_deleted(system: System, random: Random) -> str:
    """One partition, groups and all."""
    lengths = [await system.redis.xlen(stream_key(each)) for each in range(system.partitions)]
    partition = random.choice([each for each, length in enumerate(lengths) if length])
    await valkey_faults.delete_stream(system.stores.redis_url, stream_key(partition))
    return f"partition {partition} of {lengths[partition]} entries deleted"


async def tail_cut(system: System, random: Random) -> str:
    """The server is killed, its file ends before one of its last appends, and it starts again."""
    assert system.servers is not None
    assert system.servers.valkey is not None
    share = random.choice(SHARES)
    await own_servers.kill(system.servers.valkey)
    lost, of = cut_appends(system.servers.valkey, system.stores.redis_url, share)
    await own_servers.start(system.servers.valkey)
    return f"{lost} of {of} appends cut off"


@dataclass(frozen=True)
class Loss:
    """One way to lose, and who calls the reconciler: the clock, or a person."""

    name: str
    lose: Lose
    settings: Mapping[str, str] = field(default_factory=lambda: BY_THE_CLOCK)
    grows: bool = False
    """Whether contacts always write before workers look: the log is as long again, and another."""
    afterwards: Healed = nothing_more
    allowed: Allowed = LOST_TAIL


LOSSES: Sequence[Loss] = (
    Loss("log-flushed", flushed),
    Loss("log-flushed-by-hand", flushed, BY_HAND, afterwards=reconcile),
    Loss("log-stream-deleted", stream_deleted),
    Loss("log-tail-cut", tail_cut),
    Loss("log-tail-cut-by-hand", tail_cut, BY_HAND, afterwards=reconcile),
    Loss("log-tail-cut-grown", tail_cut, grows=True),
    Loss(
        "log-tail-cut-no-proof",
        tail_cut,
        {**BY_THE_CLOCK, **NO_PROOF},
        allowed=replace(LOST_TAIL, fates=frozenset({Fate.ANSWERED, Fate.UNCONFIRMED})),
    ),
)
"""Of the catalogue, but healed by an operator."""


class LostLog(Fault):
    """One of these ways, and the operator who mends it."""

    loss: ClassVar[Loss]
    hold_seconds = (1.0, 2.0)

    async def inject(self, system: System, random: Random) -> str:
        """Workers that were killed before the loss are started again by `heal`."""
        random = Random(f"{self.loss.name} {random.random()}")  # noqa: S311 - or a seed draws the same for all of them
        are_dead = self.loss.grows or random.random() < 0.5
        self._dead = [*system.handler_names] if are_dead else []
        self._clock_is_dead = random.random() < 0.25
        contacts = itertools.count(random.randrange(10**8))
        for name in self._dead:
            await system.stop(name, signal.SIGKILL)
        if are_dead:
            await asyncio.sleep(random.uniform(*UNFOLDED_SECONDS))
        self._lost_at = time.monotonic()
        what = await self.loss.lose(system, random)
        if self._clock_is_dead:
            system.kill(CLOCK)
        if self.loss.grows:
            for late in itertools.islice(contacts, LATE_CONTACTS):
                await system.twilio.try_to_write(f"whatsapp:+55117{late:08d}", f"late-{late:08d}")
        beside = ["workers dead" if are_dead else "workers at work", *(["clock killed"] if self._clock_is_dead else [])]
        return ", ".join([what, *beside])

    async def heal(self, system: System) -> None:
        """The trial's line tells what the operator did."""
        for name in self._dead:
            await system.start(name)
        self.healed = await repair_where_needed(system, self._lost_at)
        await self.loss.afterwards(system)


def class_of(loss: Loss) -> type[Fault]:
    attributes: dict[str, Any] = {
        "__doc__": f"{loss.name}, with workers dead or at work.",
        "name": loss.name,
        "loss": loss,
        "allowed": loss.allowed,
        "settings": loss.settings,
        "needs_own_servers": loss.lose is tail_cut,
    }
    return type(loss.name, (LostLog,), attributes)


CLASSES: Sequence[type[Fault]] = tuple(class_of(loss) for loss in LOSSES)
