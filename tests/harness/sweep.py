"""Every crash point, at every time that a calm run passes it, in every manner."""

from collections.abc import Collection, Mapping, Sequence

from tests.harness.crashes import Action, Crash

FEW = 3


def every_crash(passings: Mapping[str, int], actions: Collection[Action] = (Action.KILL, Action.STOP)) -> list[Crash]:
    """Point by point, occurrence by occurrence."""
    return [
        Crash(point, occurrence, action)
        for point, passed in passings.items()
        for occurrence in range(1, passed + 1)
        for action in actions
    ]


def few_crashes(passings: Mapping[str, int], points: Sequence[str]) -> list[Crash]:
    """Each of these points near the beginning, in the middle and near the end, killed; and once stopped."""
    crashes = []
    for point in points:
        passed = passings.get(point, 0)
        if passed:
            occurrences = sorted({1 + passed * share // (FEW + 1) for share in range(1, FEW + 1)})
            crashes += [Crash(point, occurrence, Action.KILL) for occurrence in occurrences]
            crashes.append(Crash(point, occurrences[len(occurrences) // 2], Action.STOP))
    return crashes
