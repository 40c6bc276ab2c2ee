import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.error_table import AMBIGUOUS, FATAL, RETRY, THROTTLED, Outcome, Verdict, classify_callback, classify_response
from streams.events import Rejection

CODES = st.none() | st.sampled_from([20003, 20429, 21610, 21611, 21617, 63003, 63016, 63018, 63038]) | st.integers(0, 99999)


def _rejected(reason: Rejection) -> Verdict:
    return Verdict(Outcome.REJECTED, reason)


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (429, None, RETRY),
        (429, 20429, RETRY),
        (429, 63038, _rejected(Rejection.LIMIT)),
        (408, None, RETRY),
        (400, 63017, THROTTLED),
        (400, 63018, THROTTLED),
        (400, 30001, THROTTLED),
        (400, 21611, THROTTLED),
        (500, None, AMBIGUOUS),
        (503, 20429, AMBIGUOUS),
        (504, None, AMBIGUOUS),
        (307, None, AMBIGUOUS),
        (200, None, AMBIGUOUS),
        (400, 63016, _rejected(Rejection.WINDOW_CLOSED)),
        (400, 21211, _rejected(Rejection.UNREACHABLE)),
        (400, 21614, _rejected(Rejection.UNREACHABLE)),
        (400, 21610, _rejected(Rejection.OPTED_OUT)),
        (400, 21617, _rejected(Rejection.CONFIGURATION)),
        (400, 63015, _rejected(Rejection.CONFIGURATION)),
        (404, 20404, _rejected(Rejection.CONFIGURATION)),
        (404, None, _rejected(Rejection.CONFIGURATION)),
        (403, None, _rejected(Rejection.CONFIGURATION)),
        (400, None, _rejected(Rejection.UNKNOWN)),
        (400, 12345, _rejected(Rejection.UNKNOWN)),
        (401, None, FATAL),
        (401, 20003, FATAL),
        (403, 20003, FATAL),
    ],
)
def test_an_answer_to_a_create_call_is_judged_by_the_table(status: int, code: int | None, verdict: Verdict) -> None:
    assert classify_response(status, code) == verdict


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (63016, _rejected(Rejection.WINDOW_CLOSED)),
        (63018, THROTTLED),
        (63017, THROTTLED),
        (131056, THROTTLED),
        (63009, RETRY),
        (63010, RETRY),
        (63012, RETRY),
        (63003, _rejected(Rejection.UNREACHABLE)),
        (63024, _rejected(Rejection.UNREACHABLE)),
        (63032, _rejected(Rejection.UNREACHABLE)),
        (63033, _rejected(Rejection.UNREACHABLE)),
        (63049, _rejected(Rejection.LIMIT)),
        (63038, _rejected(Rejection.LIMIT)),
        (63013, _rejected(Rejection.LIMIT)),
        (63026, _rejected(Rejection.LIMIT)),
        (63019, _rejected(Rejection.CONFIGURATION)),
        (63041, _rejected(Rejection.CONFIGURATION)),
        (20003, _rejected(Rejection.CONFIGURATION)),
        (99999, _rejected(Rejection.UNKNOWN)),
        (None, _rejected(Rejection.UNKNOWN)),
    ],
)
def test_a_failure_told_by_callback_is_judged_by_the_table(code: int | None, verdict: Verdict) -> None:
    assert classify_callback(code) == verdict


@given(st.integers(100, 599), CODES)
def test_only_a_4xx_proves_that_nothing_was_sent(status: int, code: int | None) -> None:
    assert (classify_response(status, code) == AMBIGUOUS) == (not 400 <= status < 500)


@given(st.integers(100, 599), CODES)
def test_a_rejection_always_has_a_reason_and_nothing_else_has(status: int, code: int | None) -> None:
    for verdict in (classify_response(status, code), classify_callback(code)):
        assert (verdict.rejection is not None) == (verdict.outcome is Outcome.REJECTED)


@given(CODES)
def test_a_callback_is_never_ambiguous_and_never_stops_the_group(code: int | None) -> None:
    assert classify_callback(code).outcome not in (Outcome.AMBIGUOUS, Outcome.FATAL)
