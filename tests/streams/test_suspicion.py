"""Which events may have ended their worker."""

from streams.partitions import START
from streams.suspicion import Suspicion


def takeovers(*steps: tuple[bool, int], head: int = 100) -> Suspicion:
    """Each step: whether the takeover was graceful, and the mark it found."""
    suspicion = Suspicion()
    for number, (is_graceful, mark) in enumerate(steps, start=1):
        suspicion = suspicion.after_takeover(number=number, is_graceful=is_graceful, mark=mark, head=head)
    return suspicion


def test_three_ungraceful_takeovers_at_one_mark_isolate_up_to_the_head() -> None:
    assert takeovers((False, 5), (False, 5)).isolated_to == START
    assert takeovers((False, 5), (False, 5), (False, 5)).isolated_to == 100


def test_a_mark_that_moved_begins_the_count_anew() -> None:
    assert takeovers((False, 5), (False, 5), (False, 6), (False, 6)).isolated_to == START


def test_graceful_takeovers_neither_count_nor_reset() -> None:
    assert takeovers(*[(True, 5)] * 9).isolated_to == START
    assert takeovers((False, 5), (True, 5), (False, 5), (True, 5), (False, 5)).isolated_to == 100


def test_isolation_lasts_until_the_mark_has_passed_what_was_suspected() -> None:
    suspected = [(False, 5)] * 3
    assert takeovers(*suspected, (False, 50)).isolated_to == 100
    assert takeovers(*suspected, (True, 50)).isolated_to == 100
    assert takeovers(*suspected, (False, 100)).isolated_to == START


def test_a_takeover_that_is_asked_about_twice_counts_once() -> None:
    once = takeovers((False, 5), (False, 5))
    assert once.after_takeover(number=2, is_graceful=False, mark=5, head=100) == once


def test_an_empty_range_isolates_nothing() -> None:
    assert takeovers((False, 100), (False, 100), (False, 100)).isolated_to == START
