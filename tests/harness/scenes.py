"""What goes on around a crash, so that its point is passed at all: each scene is played whole, with a crash in it or without."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.harness.allowed import HARSH, LOST_TAIL, STRICT, Allowed
from tests.harness.operator_commands import repair_where_needed
from tests.harness.scenario import few_contacts, let_them_write
from tests.harness.system import System
from tests.harness.twilio_faults import BY_THE_CLOCK, Healed, nothing_more
from tests.harness.valkey_faults import flush_database


async def lost_and_repaired(system: System) -> None:
    """The log loses everything, and `prosa repair` is run until it has come to its end."""
    lost_at = time.monotonic()
    await flush_database(system.stores.redis_url)
    await repair_where_needed(system, lost_at)


@dataclass(frozen=True, eq=False)
class Scene:
    """`points` are those for which it is made, whole names or what they begin with."""

    name: str
    points: Sequence[str] = ()
    allowed: Allowed = STRICT
    settings: Mapping[str, str] = field(default_factory=dict)
    twilio: Mapping[str, Any] = field(default_factory=dict)
    """What Twilio does wrong meanwhile."""
    then: Healed = nothing_more
    counts: bool = True
    """Whether its points are counted in it; else an ordinary day passes them as often."""

    def has(self, point: str) -> bool:
        return point.startswith(tuple(self.points))

    async def play(self, system: System, seed: int) -> None:
        """All of it; afterwards the system must settle by itself."""
        await system.twilio.break_down(**self.twilio)
        await let_them_write(few_contacts(seed), system.twilio)
        await self.then(system)


ORDINARY = Scene("calm")
SCENES: Sequence[Scene] = (
    Scene("a webhook that dies takes callbacks with it", ("webhook.",), HARSH, counts=False),
    Scene(
        "a quick callback would tell what came of a send before anybody looks for it",
        ("sender.calling", "sender.called"),
        twilio={"callbacks": {"delay_seconds": 4}},
        counts=False,
    ),
    Scene(
        "sends end without an answer",
        ("sender.listing", "sender.listed"),
        twilio={"create": {"500_before": 2, "reset_after": 2}},
    ),
    Scene("webhooks never come", ("reconciler.",), Allowed(fetches=True), BY_THE_CLOCK, {"inbound": {"lost": 5}}),
    Scene("the log is lost and repaired", ("repair.",), LOST_TAIL, BY_THE_CLOCK, then=lost_and_repaired),
)


def scene_of(point: str) -> Scene:
    """The one in which this point is passed."""
    return next((scene for scene in SCENES if scene.has(point)), ORDINARY)
