"""Every crash point, at every time that a calm run passes it, in every manner."""

from collections.abc import Collection, Mapping

from tests.harness.crashes import Action, Crash

COVERED_ELSEWHERE: Mapping[str, str] = {
    "log.gathering": "tests/operations/test_lost_record.py::"
    "test_a_stray_generation_is_gathered_in_steps_and_a_crash_between_them_loses_and_doubles_nothing",
}
"""Points that no scene of the sweep comes to, and the test that does: entries are gathered in steps where there are thousands."""


def every_crash(passings: Mapping[str, int], actions: Collection[Action] = (Action.KILL, Action.STOP)) -> list[Crash]:
    """Point by point, occurrence by occurrence."""
    return [
        Crash(point, occurrence, action)
        for point, passed in passings.items()
        for occurrence in range(1, passed + 1)
        for action in actions
    ]


def few_crashes(passings: Mapping[str, int], *, stopped: Collection[str]) -> list[Crash]:
    """Each point once, midway, in the order of the list; those that are named are stopped there too, one passing later."""
    crashes = []
    for point, passed in passings.items():
        midway = (passed + 1) // 2
        crashes.append(Crash(point, midway, Action.KILL))
        if point in stopped and passed > midway:
            crashes.append(Crash(point, midway + 1, Action.STOP))
    return crashes
