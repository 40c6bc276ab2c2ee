"""One system, contacts who go on writing, and one fault after the other; only at the end it may settle, and is judged."""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random

from tests.harness.allowed import Allowed, Fate
from tests.harness.faults import Fault
from tests.harness.scenario import contacts_of, let_them_write
from tests.harness.trial import Trial
from tests.harness.verdict import Verdict, judged

PAUSE_SECONDS = (0.2, 1.8)
CONTACTS_PER_SECOND = 1.0
SETTLED_SECONDS = 120.0


async def storm(trial: Trial, seed: int, seconds: float, kinds: Sequence[type[Fault]], tell: Callable[[str], None]) -> Verdict:
    """
    Faults of these kinds, drawn from the seed, for so long.

    Left out are those that need servers or settings of their own, and after which dead letters are no violation any more.
    """
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    kinds = [kind for kind in kinds if not kind.needs_own_servers and not kind.settings]
    kinds = [kind for kind in kinds if Fate.DEAD_LETTERED not in kind.allowed.fates]
    spec = f"storm of {seconds:.0f} s seed {seed}"
    contacts = contacts_of(seed, max(1, round(seconds * CONTACTS_PER_SECOND)), seconds)
    injected = 0
    async with trial.system(spec, seed, kinds=kinds) as system, system.running():
        writing = asyncio.create_task(let_them_write(contacts, system.twilio))
        began, begun_at = time.monotonic(), time.time()
        while time.monotonic() - began < seconds:
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
            fault = random.choice(kinds)()
            what = await fault.inject(system, random)
            await asyncio.sleep(random.uniform(*fault.hold_seconds))
            await fault.heal(system)
            injected += 1
            tell(f"{time.monotonic() - began:6.1f} s {fault.name} {what}")
        await writing
        allowed = allowed_by(kinds)
        history = await trial.settled(system, allowed, SETTLED_SECONDS)
        return judged(spec, "storm", history, allowed, begun_at, system, f"{injected} faults", faults=injected)


def allowed_by(kinds: Sequence[type[Fault]]) -> Allowed:
    """What any of them allows."""
    return Allowed(
        fates=frozenset(fate for kind in kinds for fate in kind.allowed.fates),
        lost_statuses=any(kind.allowed.lost_statuses for kind in kinds),
        lost_tail=any(kind.allowed.lost_tail for kind in kinds),
        skipped_events=any(kind.allowed.skipped_events for kind in kinds),
        failure_sentences=any(kind.allowed.failure_sentences for kind in kinds),
        quotes=all(kind.allowed.quotes for kind in kinds),
    )
