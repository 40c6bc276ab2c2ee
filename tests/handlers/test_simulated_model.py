"""A whole turn against the simulated model, which fails in every way: each fault is bounded, typed, and survived."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from handlers.choose_model import reply_generators
from handlers.model import Answer, Question, ReplyGenerator, Turn, TurnFailed
from handlers.offline import offline_answer
from handlers.pydantic_ai_model import PydanticAiModel
from handlers.pydantic_ai_providers import openai_model
from handlers.turn import TurnLimits, answer_with_retries
from settings import Settings
from simulator.model.faults import ModelFault
from streams.retry import RetryPolicy
from tests.harness.quotes import answered_in, remembered_in
from tests.simulator.stand_in import StandIn, running, settings

REQUEST_SECONDS = 0.4
LIMITS = TurnLimits(RetryPolicy(base_seconds=0.05, max_seconds=0.2), REQUEST_SECONDS, turn_timeout_seconds=1.6)
MOST_ROUNDS = 20
"""The pauses are no shorter than 25, 50 and then 100 ms, so that no more fit into the turn."""

ENDS_WITHIN_SECONDS = 30.0
"""Else it does not end at all."""

QUESTION = Question("ours|theirs", (Turn("contact", "Is it open?"), Turn("assistant", "Yes.")), ("Two places", "At eight"))
ALWAYS = 1_000_000


@dataclass
class Bench:
    stand_in: StandIn
    model: ReplyGenerator

    async def turn(self, question: Question = QUESTION) -> Answer:
        return await answer_with_retries([self.model], question, limits=LIMITS)

    async def calls(self) -> int:
        return len(await self.stand_in.entries("model_asked"))


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running(settings()) as stand_in:
        model = PydanticAiModel(
            openai_model("simulated", f"{stand_in.url}/model/v1", None),
            name="openai:simulated",
            instructions="Be kind.",
            request_timeout_seconds=REQUEST_SECONDS,
        )
        yield Bench(stand_in, model)
        await model.close()


@pytest.mark.parametrize(
    "question",
    [
        QUESTION,
        Question("t", (), ("Hello there",)),
        Question("t", (Turn("contact", "one"), Turn("assistant", "two"), Turn("contact", "three")), ("four is   wide",)),
        Question("t", (), tuple(f"message {number}" for number in range(10))),
        Question("t", (), ("a long one " * 30, "and <b>bold</b> & “quoted")),
    ],
)
async def test_it_quotes_what_it_answers_as_the_offline_responder_does(bench: Bench, question: Question) -> None:
    said, expected = (await bench.turn(question)).text, offline_answer(question).text
    assert answered_in(said) == answered_in(expected) != []
    assert remembered_in(said) == remembered_in(expected)


async def test_more_messages_than_a_person_would_read_are_all_quoted(bench: Bench) -> None:
    written = tuple(f"message {number}" for number in range(60))
    assert answered_in((await bench.turn(Question("t", (), written))).text) == list(written)


@pytest.mark.parametrize(
    ("text", "closes", "hands_off"),
    [
        ("Goodbye then", True, False),
        ("Tchau!", True, False),
        ("A person, please. Bye!", False, True),
        ("Quero um atendente", False, True),
        ("Hi", False, False),
    ],
)
async def test_it_closes_and_hands_off_by_the_typed_output(bench: Bench, text: str, closes: bool, hands_off: bool) -> None:
    answer = await bench.turn(Question("t", (), ("first", text)))
    assert (answer.closes, answer.hands_off) == (closes, hands_off)
    assert text in answer.text
    [asked] = await bench.stand_in.entries("model_asked")
    assert asked["details"]["has_tools"]
    assert text not in str(asked)


async def test_without_tools_it_marks_the_end_of_its_text(bench: Bench) -> None:
    """A server error makes the adapter ask once more, without tools."""
    await bench.stand_in.break_down(model={"500": 1})
    answer = await bench.turn(Question("t", (), ("Bye",)))
    assert answer.closes
    assert answer.text.endswith("You said: “Bye”.")
    assert [entry["details"]["has_tools"] for entry in await bench.stand_in.entries("model_asked")] == [True, False]


@pytest.mark.parametrize("fault", list(ModelFault))
async def test_a_fault_that_passes_is_survived(bench: Bench, fault: ModelFault) -> None:
    await bench.stand_in.break_down(model={fault: 1, "retry_after_seconds": 0})
    answer = await bench.turn()
    assert answered_in(answer.text) == ["Two places", "At eight"]
    assert await bench.calls() == 2
    assert await bench.stand_in.control("GET", "tally") == {f"model.{fault}": 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (ModelFault.TOO_MANY_REQUESTS, "http_429"),
        (ModelFault.ERROR, "http_500"),
        (ModelFault.RESET_MIDWAY, "connection"),
        (ModelFault.HANG, "timeout"),
        (ModelFault.EMPTY, "invalid_answer"),
        (ModelFault.NOT_JSON, "invalid_answer"),
        (ModelFault.MEGABYTE, "too_long"),
        (ModelFault.TOOL_CALLS, "invalid_answer"),
        (ModelFault.SLOW, "timeout"),
    ],
)
async def test_a_fault_that_stays_ends_in_a_failed_turn(bench: Bench, fault: ModelFault, error: str) -> None:
    await bench.stand_in.break_down(model={fault: ALWAYS, "retry_after_seconds": 0})
    with pytest.raises(TurnFailed, match=error) as failed:
        await asyncio.wait_for(bench.turn(), ENDS_WITHIN_SECONDS)
    assert 2 <= failed.value.attempts <= MOST_ROUNDS
    assert await bench.calls() <= 2 * failed.value.attempts, "at most once more without tools"
    assert not any(text in str(failed.value) for text in QUESTION.unanswered)


@pytest.mark.alone
async def test_a_model_that_says_when_to_come_back_is_left_alone_until_then(bench: Bench) -> None:
    await bench.stand_in.break_down(model={"429": ALWAYS, "retry_after_seconds": 1})
    with pytest.raises(TurnFailed) as failed:
        await bench.turn()
    first, second = [entry["at"] for entry in await bench.stand_in.entries("model_asked")]
    assert second - first >= 1.0
    assert failed.value.attempts == 2


async def test_a_model_that_says_never_ends_the_turn_at_once(bench: Bench) -> None:
    await bench.stand_in.break_down(model={"429": ALWAYS, "retry_after_seconds": 3600})
    patient = replace(LIMITS, turn_timeout_seconds=3000.0)
    with pytest.raises(TurnFailed):
        await asyncio.wait_for(answer_with_retries([bench.model], QUESTION, limits=patient), ENDS_WITHIN_SECONDS)
    assert await bench.calls() == 1


@pytest.mark.alone
async def test_a_call_that_hangs_ends_by_its_own_deadline(bench: Bench) -> None:
    await bench.stand_in.break_down(model={"hang": 1})
    await bench.turn()
    first, second = [entry["at"] for entry in await bench.stand_in.entries("model_asked")]
    assert REQUEST_SECONDS <= second - first < 2 * REQUEST_SECONDS


async def test_the_settings_alone_connect_to_it(bench: Bench) -> None:
    configured = Settings(_env_file=None, ai_model="openai:simulated", openai_base_url=f"{bench.stand_in.url}/model/v1")
    [model] = reply_generators(configured)
    answer = await model.generate(Question("t", (), ("Hello",)))
    assert (answer.text.splitlines()[1], answer.model) == ("You said: “Hello”.", "openai:simulated")
    assert answer.input_tokens > 0
    assert isinstance(model.model, PydanticAiModel)
    await model.model.close()
