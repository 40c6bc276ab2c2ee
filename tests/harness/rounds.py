"""In which order a campaign tries what it may try: as much of everything as its time allows."""

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.harness.campaign import Planned
from tests.harness.faults import Fault
from tests.harness.sweep import every_crash
from tests.harness.verdict import Verdict

OF_EACH_FAULT = 8
"""How many trials of each class of fault one round holds, each with a seed of its own."""


def rounds(points: Mapping[str, int], kinds: Sequence[type[Fault]], seed: int) -> Iterator[Planned]:
    """
    Every passing of every point and every class of fault, in an order drawn from the seed; then again with the next seed.

    One of each class comes first, so that a short run leaves out as few as it can.
    """
    for number in itertools.count(seed):
        plan = [Planned(crash, number) for crash in every_crash(points)]
        plan += [Planned(kind, number * 1000 + trial) for kind in kinds for trial in range(OF_EACH_FAULT)]
        random.Random(number).shuffle(plan)  # noqa: S311 - repeatable, not secret
        first = {each.kind.name: each for each in reversed(plan)}
        yield from first.values()
        yield from (each for each in plan if each != first[each.kind.name])


def untried(points: Mapping[str, int], kinds: Iterable[type[Fault]], verdicts: Iterable[Verdict]) -> list[str]:
    """The classes that no trial came to."""
    asked = [*(kind.name for kind in kinds), *(crash.name for crash in every_crash(points))]
    tried = {verdict.fault for verdict in verdicts if verdict.has_happened}
    return [name for name in dict.fromkeys(asked) if name not in tried]
