"""How long to wait before trying again."""

from hypothesis import given
from hypothesis import strategies as st

from streams.retry import RetryPolicy

POLICY = RetryPolicy(base_seconds=0.5, max_seconds=30)


def test_the_wait_doubles_up_to_its_limit() -> None:
    assert [POLICY.pause_seconds(attempt, 0) for attempt in (1, 2, 3, 7, 8, 10_000)] == [0.5, 1, 2, 30, 30, 30]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_chance_takes_off_half_at_most(attempt: int, chance: float) -> None:
    longest = POLICY.pause_seconds(attempt, 0)
    assert longest / 2 <= POLICY.pause_seconds(attempt, chance) <= longest
