"""
What Twilio, the model and the way in do wrong, each kind as a fault of a trial, drawn from the trial's seed.

In half of the trials a process of ours is killed or paused meanwhile. Every kind comes twice: as it is, and with `-no-proof`
at its end, where absence from Twilio's list proves nothing and some sends are left to a person.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, ClassVar, TypeAlias

from tests.harness.allowed import STRICT, Allowed, Fate
from tests.harness.faults import Fault
from tests.harness.haste import LEFT_TO_THE_WEBHOOK_SECONDS
from tests.harness.operator_commands import reconcile
from tests.harness.programs import CLOCK
from tests.harness.system import System, eventually
from tests.harness.twilio_plans import Plan, create, failing, listing, lost, model, of_callbacks, of_inbound, of_model

HAPPENS_SECONDS, LATE_CONTACTS = 5.0, 5
BESIDE_SECONDS = (0.0, 1.5)
"""How long after the first fault happened a process is killed or paused."""
NO_PROOF: Mapping[str, str] = {"SEND_ABSENCE_IS_PROOF": "false"}
MODEL: Mapping[str, str] = {"AI_MODEL": "openai:simulated", "AI_REQUEST_TIMEOUT_SECONDS": "1", "AI_TURN_TIMEOUT_SECONDS": "4"}
BY_THE_CLOCK: Mapping[str, str] = {"RECONCILE_SECONDS": "0.7", LEFT_TO_THE_WEBHOOK_SECONDS: "1"}
BY_HAND: Mapping[str, str] = {"RECONCILE_SECONDS": "0"}
UNTOLD = replace(STRICT, lost_statuses=True)
GIVEN_UP = replace(STRICT, fates=frozenset({Fate.ANSWERED, Fate.DEAD_LETTERED}))
TOLD = replace(STRICT, failure_sentences=True)
FETCHED = replace(STRICT, fetches=True)

Healed: TypeAlias = Callable[[System], Awaitable[None]]


async def nothing_more(system: System) -> None:
    """All is well by itself."""


@dataclass(frozen=True)
class Kind:
    """`happens` begins the names, in the simulator's tally, of what must have gone wrong at least once."""

    name: str
    happens: str
    plan: Callable[[Random], Plan]
    allowed: Allowed = STRICT
    settings: Mapping[str, str] = field(default_factory=dict)
    others: Sequence[str] = ()
    """Processes that may be killed or paused meanwhile, besides handlers."""
    afterwards: Healed = nothing_more


KINDS: tuple[Kind, ...] = (
    *(
        Kind(f"create-{name.replace('_', '-')}", f"create.{name}", create(name), UNTOLD)
        for name in (
            *("429", "500_before", "reset_before", "hang_before", "500_after", "reset_after", "hang_after", "slow", "late"),
        )
    ),
    Kind("create-all", "create.", create(), UNTOLD),
    Kind("callbacks-lost", "callbacks.lost", lost, UNTOLD),
    Kind("callbacks-late", "callbacks.late", of_callbacks(delay_seconds=(0.5, 2.0, 4.0), jitter_seconds=(0.0, 2.0))),
    Kind("callbacks-doubled", "callbacks.duplicate", of_callbacks(duplicate_rate=(1.0, 0.5), jitter_seconds=(0.0, 0.5))),
    Kind("callbacks-reversed", "callbacks.reversed", of_callbacks(reversed_rate=(1.0, 0.5))),
    Kind("callbacks-at-once", "callbacks.at_once", of_callbacks(at_once_rate=(1.0, 0.5))),
    Kind("callbacks-failing-63016", "callbacks.fail", failing(63016), GIVEN_UP),
    Kind("callbacks-failing-63018", "callbacks.fail", failing(63018), GIVEN_UP),
    Kind("listing-late", "create.", listing("late"), UNTOLD),
    *(Kind(f"listing-{name}", f"listing.{name}", listing(name), UNTOLD) for name in ("429", "500", "garbled", "reset", "hang")),
    Kind(
        "inbound-doubled",
        "inbound.duplicate",
        of_inbound(duplicate_rate=(1.0,), copies=(2, 5, 9), copies_after_seconds=(0.0, 0.7)),
    ),
    Kind("inbound-replayed", "inbound.replay", of_inbound(replay_rate=(1.0,))),
    Kind("inbound-lost", "inbound.lost", of_inbound(lost_rate=(1.0, 0.5, 0.2)), FETCHED, BY_THE_CLOCK, (CLOCK,)),
    Kind("inbound-lost-by-hand", "inbound.lost", of_inbound(lost_rate=(1.0, 0.5, 0.2)), FETCHED, BY_HAND, afterwards=reconcile),
    *(
        Kind(f"model-{name.replace('_', '-')}", f"model.{name}", of_model(name), TOLD, MODEL)
        for name in (*("429", "500", "reset_midway", "hang", "slow"),)
    ),
    *(
        Kind(f"model-{name.replace('_', '-')}", f"model.{name}", of_model(name), replace(GIVEN_UP, failure_sentences=True), MODEL)
        for name in ("empty", "not_json", "megabyte", "tool_calls")
    ),
    Kind("model-all", "model.", model, replace(GIVEN_UP, failure_sentences=True), MODEL),
)


class TwilioFault(Fault):
    """One of a kind, as long as it holds."""

    kind: ClassVar[Kind]
    hold_seconds = (2.0, 5.0)

    async def inject(self, system: System, random: Random) -> str:
        """Returns when something has gone wrong: more contacts write, so that there is occasion."""
        random = Random(f"{self.kind.name} {random.random()}")  # noqa: S311 - or the same seed breaks every kind at the same places
        plan = self.kind.plan(random)
        contacts, seed = itertools.count(random.randrange(10**8)), random.randrange(2**31)
        beside = _beside(random, [*system.handler_names, *self.kind.others])
        await system.twilio.break_down(**plan, seed=seed)

        async def has_happened() -> bool:
            return any(name.startswith(self.kind.happens) for name in await system.twilio.tally())

        for late in itertools.islice(contacts, LATE_CONTACTS):
            await system.twilio.try_to_write(f"whatsapp:+55118{late:08d}", f"late-{late:08d}")
            with suppress(AssertionError):
                await eventually(has_happened, HAPPENS_SECONDS, self.kind.happens)
                break
        await asyncio.sleep(random.uniform(*BESIDE_SECONDS))
        for name, act in beside.items():
            (system.kill if act == "kill" else system.pause)(name)
        told = json.dumps(plan, separators=(",", ":")).replace('"', "")
        return " ".join([told, *(f"{act} {name}" for name, act in beside.items())])

    async def heal(self, system: System) -> None:
        system.resume_all()
        await system.twilio.break_down()
        await self.kind.afterwards(system)


def _beside(random: Random, names: Sequence[str]) -> Mapping[str, str]:
    """What is done to processes of ours meanwhile: nothing in half of the trials."""
    if random.random() < 0.5:
        return {}
    struck = random.choice([[name] for name in names] + [list(names)])
    return {name: random.choice(("kill", "pause")) for name in struck}


def class_of(kind: Kind, *, absence_is_proof: bool) -> type[Fault]:
    """With both meanings of absence the same faults come from the same seed."""
    allowed, settings = kind.allowed, dict(kind.settings)
    if not absence_is_proof:
        allowed = replace(allowed, fates=allowed.fates | {Fate.UNCONFIRMED})
        settings |= NO_PROOF
    attributes: dict[str, Any] = {
        "__doc__": f"`{kind.name}`, with a process of ours killed or paused meanwhile in half of the trials.",
        "name": kind.name if absence_is_proof else f"{kind.name}-no-proof",
        "kind": kind,
        "allowed": allowed,
        "settings": settings,
    }
    return type(kind.name, (TwilioFault,), attributes)


CLASSES: Sequence[type[Fault]] = tuple(class_of(kind, absence_is_proof=proof) for kind in KINDS for proof in (True, False))
