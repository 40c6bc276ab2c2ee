import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from handlers.model import Answer, Blame, ModelFailed, ModelRefused, Question, ReplyGenerator, TurnFailed, blame_of
from handlers.turn import TurnLimits, answer_with_retries
from streams.errors import LeaseLost
from streams.leaving import OF_THIS_WORK, Leaving
from streams.retry import RetryPolicy

QUESTION = Question("ours|theirs", (), ("Hello",))
ANSWER = Answer("Hi!", closes=False, hands_off=False, model="fake", input_tokens=1, output_tokens=1)
EMPTY = Answer(" \n", closes=False, hands_off=False, model="fake", input_tokens=1, output_tokens=1)
QUICK = RetryPolicy(max_attempts=3, base_seconds=0.001, max_seconds=0.002)
GROWING = RetryPolicy(max_attempts=1, base_seconds=0.01, max_seconds=60)
SOON = 0.4


def _limits(policy: RetryPolicy = QUICK, request: float = 5.0, turn: float = 10.0) -> TurnLimits:
    return TurnLimits(policy, request_timeout_seconds=request, turn_timeout_seconds=turn)


@dataclass
class Scripted:
    """Answers by script, and then with its last step."""

    script: list[Answer | Exception | Callable[[], Awaitable[Answer]]]
    asked_at: list[float] = field(default_factory=list)

    async def generate(self, question: Question) -> Answer:
        assert question is QUESTION
        self.asked_at.append(time.monotonic())
        step = self.script[min(len(self.asked_at), len(self.script)) - 1]
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Answer) else await step()


async def _for_ever() -> Answer:
    await asyncio.Event().wait()
    return ANSWER


async def _ask(*generators: ReplyGenerator, limits: TurnLimits | None = None) -> Answer:
    return await answer_with_retries(generators, QUESTION, limits=limits or _limits())


async def _failure(*generators: ReplyGenerator, limits: TurnLimits | None = None) -> TurnFailed:
    with pytest.raises(TurnFailed) as raised:
        await _ask(*generators, limits=limits)
    return raised.value


async def test_a_model_that_answers_is_asked_once() -> None:
    model, fallback = Scripted([ANSWER]), Scripted([ANSWER])
    assert await _ask(model, fallback) is ANSWER
    assert (len(model.asked_at), len(fallback.asked_at)) == (1, 0)


@pytest.mark.parametrize("failure", [ModelFailed("fake", "http_500"), EMPTY, TimeoutError()])
async def test_a_model_that_failed_is_asked_again(failure: Answer | Exception) -> None:
    model = Scripted([failure, failure, ANSWER])
    assert await _ask(model) is ANSWER


async def test_a_fallback_answers_at_once_when_the_model_fails() -> None:
    slow = _limits(RetryPolicy(max_attempts=3, base_seconds=60, max_seconds=60))
    assert await _ask(Scripted([ModelFailed("first", "http_500")]), Scripted([ANSWER]), limits=slow) is ANSWER
    assert await _ask(Scripted([ModelRefused("first", "http_401")]), Scripted([ANSWER]), limits=slow) is ANSWER


@pytest.mark.parametrize("code", ["connection", "timeout", "http_429", "http_503"])
async def test_an_outage_within_the_turn_is_outlasted_however_many_tries_it_takes(code: str) -> None:
    away = [ModelFailed("fake", code)] * (10 * QUICK.max_attempts)
    assert await _ask(Scripted([*away, ANSWER])) is ANSWER


async def test_all_models_are_tried_in_order_in_each_round_until_the_deadline() -> None:
    model, fallback = Scripted([ModelFailed("first", "http_500")]), Scripted([ModelFailed("second", "http_503")])
    failure = await _failure(model, fallback, limits=_limits(GROWING, turn=SOON))
    assert (failure.attempts, failure.error) == (2 * len(model.asked_at), "second: http_503")
    assert len(model.asked_at) > 4
    assert all(first < second for first, second in zip(model.asked_at, fallback.asked_at, strict=True))


async def test_a_model_that_refused_is_not_asked_again() -> None:
    model, fallback = Scripted([ModelRefused("first", "http_401")]), Scripted([ModelFailed("second", "http_503")])
    assert (await _failure(model, fallback, limits=_limits(GROWING, turn=SOON))).attempts == 1 + len(fallback.asked_at)
    assert (len(model.asked_at), len(fallback.asked_at) > 1) == (1, True)


async def test_when_all_refuse_the_turn_ends_without_a_pause() -> None:
    slow = _limits(RetryPolicy(max_attempts=3, base_seconds=60, max_seconds=60), turn=600.0)
    failure = await asyncio.wait_for(_failure(Scripted([ModelRefused("first", "http_401")]), limits=slow), 1)
    assert (failure.attempts, failure.error) == (1, "first: http_401")


async def test_a_model_that_hangs_is_given_up_and_the_next_one_asked() -> None:
    slow = _limits(RetryPolicy(base_seconds=60, max_seconds=60), request=0.05)
    assert await _ask(Scripted([_for_ever]), Scripted([ANSWER]), limits=slow) is ANSWER
    failure = await _failure(Scripted([_for_ever]), limits=slow)
    assert (failure.attempts, failure.error) == (1, "model 1 of 1: timeout")


async def test_the_turn_ends_by_its_deadline_even_while_a_model_hangs() -> None:
    started = time.monotonic()
    failure = await _failure(Scripted([_for_ever]), limits=_limits(request=60.0, turn=0.1))
    assert (failure.attempts, failure.error) == (1, "turn timed out")
    assert time.monotonic() - started < 1.0


async def test_the_turn_ends_at_once_when_the_pause_would_outlast_it() -> None:
    slow = _limits(RetryPolicy(max_attempts=3, base_seconds=60, max_seconds=60), turn=10.0)
    failure = await asyncio.wait_for(_failure(Scripted([ModelFailed("first", "http_500")]), limits=slow), 1)
    assert (failure.attempts, failure.error) == (1, "first: http_500")


async def test_a_model_is_left_alone_for_as_long_as_it_asked() -> None:
    busy = ModelFailed("first", "http_429", retry_after_seconds=0.2)
    model, fallback = Scripted([busy, ANSWER]), Scripted([ModelFailed("second", "http_500", retry_after_seconds=9.0)])
    assert await _ask(model, fallback) is ANSWER
    assert model.asked_at[1] - model.asked_at[0] >= 0.19
    assert len(fallback.asked_at) == 1


async def test_a_model_that_asked_for_longer_than_the_turn_is_not_waited_for() -> None:
    busy = Scripted([ModelFailed("first", "http_429", retry_after_seconds=3600.0)])
    assert (await asyncio.wait_for(_failure(busy), 1)).attempts == 1


async def test_pauses_grow_between_rounds() -> None:
    model = Scripted([ModelFailed("first", "http_500")])
    policy = RetryPolicy(base_seconds=0.05, max_seconds=60)
    with pytest.raises(TurnFailed):
        await answer_with_retries([model], QUESTION, limits=_limits(policy, turn=0.3), chance=lambda: 0.0)
    first, second = (later - earlier for earlier, later in zip(model.asked_at, model.asked_at[1:], strict=False))
    assert first >= 0.049
    assert second >= 0.099


async def test_failures_of_one_kind_have_one_fingerprint() -> None:
    slow = _limits(RetryPolicy(base_seconds=60, max_seconds=60))
    one, same = [await _failure(Scripted([ModelFailed("first", "http_500")]), limits=slow) for _ in range(2)]
    other = await _failure(Scripted([ModelFailed("first", "http_503")]), limits=slow)
    assert one.fingerprint == same.fingerprint != other.fingerprint


async def test_a_cancelled_turn_is_cancelled_and_not_failed() -> None:
    is_asked = asyncio.Event()

    async def never() -> Answer:
        is_asked.set()
        return await _for_ever()

    turn = asyncio.create_task(_ask(Scripted([never])))
    await is_asked.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn


async def test_no_fallback_is_asked_once_the_partition_is_being_given_back() -> None:
    leaving = Leaving()

    async def fails_as_the_stop_begins() -> Answer:
        leaving.tell()
        raise ModelFailed("fake", "http_500")

    model, fallback = Scripted([fails_as_the_stop_begins]), Scripted([ANSWER])

    async def work() -> Answer:
        OF_THIS_WORK.set(leaving)
        return await _ask(model, fallback)

    with pytest.raises(LeaseLost):
        await asyncio.create_task(work())
    assert (len(model.asked_at), len(fallback.asked_at)) == (1, 0)


async def test_without_a_model_the_turn_fails() -> None:
    assert (await _failure()).attempts == 0


@pytest.mark.parametrize(
    ("codes", "blame"),
    [
        ([], Blame.PROVIDER),
        (["http_503"], Blame.PROVIDER),
        (["timeout"], Blame.PROVIDER),
        (["connection", "content_filter"], Blame.PROVIDER),
        (["http_401", "http_500"], Blame.PROVIDER),
        (["http_401"], Blame.ACCOUNT),
        (["quota", "http_429"], Blame.ACCOUNT),
        (["http_401", "content_filter"], Blame.MESSAGE),
        (["http_400"], Blame.MESSAGE),
        (["empty"], Blame.MESSAGE),
        (["invalid_answer"], Blame.MESSAGE),
    ],
)
def test_a_failed_turn_speaks_of_its_message_only_where_a_model_was_there(codes: list[str], blame: Blame) -> None:
    assert blame_of(codes) is blame


@pytest.mark.parametrize(
    ("last", "blame"),
    [
        (ModelFailed("fake", "http_503"), Blame.PROVIDER),
        (ModelRefused("fake", "http_401"), Blame.ACCOUNT),
        (ModelRefused("fake", "content_filter"), Blame.MESSAGE),
        (EMPTY, Blame.MESSAGE),
        (_for_ever, Blame.PROVIDER),
    ],
)
async def test_a_turn_is_judged_by_the_last_error_of_each_model(last: Any, blame: Blame) -> None:
    failed = await _failure(Scripted([ModelFailed("fake", "http_500"), last]), limits=_limits(request=0.02, turn=0.2))
    assert failed.blame is blame
