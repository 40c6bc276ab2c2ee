"""A short run tries as many classes as it has trials; a long one everything."""

from itertools import islice

from tests.harness.campaign import KINDS
from tests.harness.crashes import Action, Crash
from tests.harness.rounds import OF_EACH_FAULT, rounds, untried
from tests.harness.sweep import every_crash
from tests.harness.verdict import Verdict

PASSED = {"sender.called": 3, "webhook.appended": 2}
CLASSES = {kind.name for kind in KINDS} | {crash.name for crash in every_crash(PASSED)}


def test_one_of_each_class_comes_before_a_second_of_any() -> None:
    for seed in range(5):
        names = [each.kind.name for each in islice(rounds(PASSED, KINDS, seed), len(CLASSES))]
        assert sorted(names) == sorted(CLASSES)


def test_a_round_has_everything_once_and_the_next_one_other_seeds() -> None:
    size = len(list(every_crash(PASSED))) + OF_EACH_FAULT * len(KINDS)
    planned = [str(each) for each in islice(rounds(PASSED, KINDS, 7), 2 * size)]
    assert len(set(planned)) == 2 * size
    assert {f"crash {crash} seed 7" for crash in every_crash(PASSED)} <= set(planned[:size])


def test_a_seed_gives_one_order_and_another_seed_another() -> None:
    first, again, other = ([str(each) for each in islice(rounds(PASSED, KINDS, seed), 50)] for seed in (3, 3, 4))
    assert first == again
    assert [each.rpartition(" ")[0] for each in first] != [each.rpartition(" ")[0] for each in other]


def test_what_nobody_came_to_is_named() -> None:
    crash = Crash("sender.called", 1, Action.KILL)
    done = [Verdict("", KINDS[0].name, True), Verdict("", KINDS[1].name, False), Verdict("", crash.name, True)]
    assert untried({}, KINDS[:3], done) == [KINDS[1].name, KINDS[2].name]
    assert crash.name not in untried(PASSED, [], done)
    assert untried({}, KINDS[:1], done) == []
