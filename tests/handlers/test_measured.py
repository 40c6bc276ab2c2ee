"""What the handlers measure: tries, models, calls to Twilio, outcomes of sends, and how long a contact waited."""

import asyncio
from collections.abc import Awaitable, Callable
from math import isnan, nan
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

import metrics
from handlers.counting import (
    BELIEVED_SECONDS,
    MISSED_COUNTS,
    READ_MODEL,
    CountedGauges,
    conversation_gauges,
    count_regularly,
    read_model_gauges,
)
from handlers.error_table import KNOWN_CODES
from handlers.gauges import observe_clock
from handlers.measured import MeasuredModel, handling
from handlers.model import Answer, ModelFailed, ModelRefused, Question
from handlers.ticker import Ticker
from handlers.twilio_answers import Refused
from handlers.twilio_client import TwilioClient
from projections.changes import SENDER
from projections.counts import EVERY_SECONDS, pause_after
from settings import Settings
from streams.cancellation import end
from streams.delivery import Delivery
from streams.errors import ConfigurationError, LogUnavailable, ReadModelUnavailable
from streams.events import PersonReplied
from tests.handlers.fake_twilio import LOST
from tests.handlers.raw_server import answering, serving
from tests.handlers.world import Model, World, eventually, thread_of
from tests.measures import held

ANA = thread_of(1)
QUESTION = Question(ANA, (), ("Olá",))


def outcomes(outcome: str, code: str = "none", reason: str = "none") -> float:
    return held(metrics.SEND_OUTCOMES, outcome, code, reason)


async def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ValueError("of ours"), "failed"),
        (LogUnavailable("away"), "unavailable"),
        (ConfigurationError("SECRET_KEY"), "fatal"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_a_try_of_a_handler_is_told_by_the_branch_of_its_error(world: World, error: BaseException, result: str) -> None:
    delivery = (await world.write(ANA)).delivered_to("responder")
    before, done = held(metrics.HANDLER_SECONDS, "responder", result), held(metrics.HANDLER_SECONDS, "responder", "done")

    async def fail(_: Delivery) -> None:
        await raising(error)

    with pytest.raises(type(error)):
        await handling("responder", fail)(delivery)
    assert held(metrics.HANDLER_SECONDS, "responder", result) == before + 1
    await handling("responder", lambda _: asyncio.sleep(0))(delivery)
    assert held(metrics.HANDLER_SECONDS, "responder", "done") == done + 1


async def test_a_models_answers_and_tokens_count_under_its_name_in_the_settings() -> None:
    answer = Answer("Oi.", False, False, "as the server calls it", 11, 7)
    model = MeasuredModel("openai:test", Model([answer]))
    assert await model.generate(QUESTION) == answer
    assert held(metrics.MODEL_SECONDS, "openai:test", "answered") == 1
    assert held(metrics.MODEL_TOKENS, "openai:test", "input") == 11
    assert held(metrics.MODEL_TOKENS, "openai:test", "output") == 7


@pytest.mark.parametrize(
    ("error", "result", "code"),
    [
        (ModelFailed("m", "http_503"), "failed", "http_503"),
        (ModelRefused("m", "quota"), "refused", "quota"),
        (ModelFailed("m", "a word that nobody listed"), "failed", "other"),
    ],
)
async def test_a_models_errors_count_by_kind(error: Exception, result: str, code: str) -> None:
    seconds, errors = held(metrics.MODEL_SECONDS, "m", result), held(metrics.MODEL_ERRORS, "m", code)
    with pytest.raises(type(error)):
        await MeasuredModel("m", Model([error])).generate(QUESTION)
    assert held(metrics.MODEL_SECONDS, "m", result) == seconds + 1
    assert held(metrics.MODEL_ERRORS, "m", code) == errors + 1


async def test_an_empty_answer_is_an_error_of_the_model() -> None:
    before = held(metrics.MODEL_ERRORS, "m", "empty")
    await MeasuredModel("m", Model([" \n"])).generate(QUESTION)
    assert held(metrics.MODEL_ERRORS, "m", "empty") == before + 1


async def test_a_model_that_runs_out_of_time_is_told_apart() -> None:
    model = Model()
    model.gate.clear()
    before = held(metrics.MODEL_SECONDS, "m", "cancelled")
    asking = asyncio.create_task(MeasuredModel("m", model).generate(QUESTION))
    await model.is_asked.wait()
    await end([asking])
    assert held(metrics.MODEL_SECONDS, "m", "cancelled") == before + 1


async def test_a_sent_reply_counts_once_with_how_long_the_contact_waited(world: World) -> None:
    sent, waited = outcomes("sent"), held(metrics.INBOUND_TO_SENT_SECONDS, "answer")
    written = await world.answered(ANA, "one", "two")
    for _ in range(2):
        await world.sender().send(written.delivered_to(SENDER))
    assert outcomes("sent") == sent + 2
    assert held(metrics.INBOUND_TO_SENT_SECONDS, "answer") == waited + 1


async def test_a_send_that_was_found_out_later_tells_nothing_of_how_long_the_contact_waited(world: World) -> None:
    sent, waited = outcomes("sent"), held(metrics.INBOUND_TO_SENT_SECONDS, "answer")
    world.twilio.script = [LOST]
    await world.sender().send((await world.answered(ANA, "one")).delivered_to(SENDER))
    assert outcomes("sent") == sent + 1
    assert held(metrics.INBOUND_TO_SENT_SECONDS, "answer") == waited
    assert held(metrics.SENDS_SETTLING) == 0


async def test_a_persons_reply_is_not_an_answer_of_ours(world: World) -> None:
    answer, person = held(metrics.INBOUND_TO_SENT_SECONDS, "answer"), held(metrics.INBOUND_TO_SENT_SECONDS, "person")
    await world.write(ANA)
    written = await world.append(PersonReplied(reply="r1", parts=("Hello.",), by="maria"), ANA)
    await world.sender().send(written.delivered_to(SENDER))
    assert held(metrics.INBOUND_TO_SENT_SECONDS, "person") == person + 1
    assert held(metrics.INBOUND_TO_SENT_SECONDS, "answer") == answer


@pytest.mark.parametrize(("code", "told", "reason"), [(63016, "63016", "window_closed"), (99999, "other", "unknown")])
async def test_a_refused_send_counts_by_code_and_reason(world: World, code: int, told: str, reason: str) -> None:
    before = outcomes("rejected", told, reason)
    world.twilio.script = [Refused(400, code)]
    await world.sender().send((await world.answered(ANA, "one")).delivered_to(SENDER))
    assert outcomes("rejected", told, reason) == before + 1
    assert (code in KNOWN_CODES) == (told != "other")


async def test_calls_to_twilio_are_measured_by_what_came_back() -> None:
    answered, nothing = held(metrics.TWILIO_SECONDS, "GET", "4xx"), held(metrics.TWILIO_SECONDS, "GET", "no_answer")
    async with serving(answering(404, b"{}")) as server, client(server.url) as there:
        with pytest.raises(Exception, match="status 404"):
            await there.account_status()
    async with client("http://127.0.0.1:1") as nowhere:
        with pytest.raises(Exception, match="read: status None"):
            await nowhere.account_status()
    assert held(metrics.TWILIO_SECONDS, "GET", "4xx") == answered + 1
    assert held(metrics.TWILIO_SECONDS, "GET", "no_answer") == nothing + 1


def client(url: str) -> TwilioClient:
    return TwilioClient(account_sid="AC1", auth_token="token", api_url=url, timeout_seconds=1)


async def test_what_cannot_be_counted_now_is_counted_later() -> None:
    failures: list[Exception] = [ReadModelUnavailable("away"), LogUnavailable("away"), ConfigurationError("DATABASE_URL")]
    counted = 0

    async def count() -> None:
        nonlocal counted
        if failures:
            raise failures.pop()
        counted += 1

    await while_running(count_regularly("something", count, lambda _: 0.0), lambda: eventually(lambda: counted >= 2))


async def test_a_defect_in_the_counting_is_told_once_and_does_not_end_it() -> None:
    tried = 0

    async def count() -> None:
        nonlocal tried
        tried += 1
        if tried < 4:
            raise KeyError("+5511900000001")

    with capture_logs() as lines:
        await while_running(count_regularly("something", count, lambda _: 0.0), lambda: eventually(lambda: tried >= 5))
    told = [line for line in lines if line.get("what") == "cannot count something"]
    assert [line["event"] for line in told] == ["outage.begun", "outage.ended"]
    assert "KeyError at test_measured.py" in told[0]["reason"]
    assert "+55" not in str(told)


@pytest.mark.parametrize(("took", "believed"), [(0.0, BELIEVED_SECONDS), (2.0, MISSED_COUNTS * pause_after(2.0))])
async def test_what_was_counted_too_long_ago_is_not_known(took: float, believed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that cannot reach Postgres would else page for what was answered long ago."""
    now = 0.0
    monkeypatch.setattr("handlers.counting.time", SimpleNamespace(monotonic=lambda: now))

    async def count() -> None:
        nonlocal now
        now += took
        metrics.OLDEST_UNANSWERED_AGE_SECONDS.of().set(400)
        metrics.DEAD_LETTERS.of("sender").set(3)

    gauges = CountedGauges(READ_MODEL, count)
    await gauges.count()
    now += believed
    gauges.forget_what_is_old()
    assert (held(metrics.OLDEST_UNANSWERED_AGE_SECONDS), held(metrics.DEAD_LETTERS, "sender")) == (400, 3)
    now += 1
    gauges.forget_what_is_old()
    assert isnan(held(metrics.OLDEST_UNANSWERED_AGE_SECONDS))
    assert all(isnan(held(metrics.DEAD_LETTERS, group)) for group in metrics.HANDLING)


async def test_what_is_urgent_does_not_wait_for_the_count_of_all_conversations(world: World) -> None:
    await world.write(ANA)
    await world.state(ANA)
    metrics.UNANSWERED_CONVERSATIONS.of().set(nan)
    async with world.database.transaction() as holding:
        await holding.execute("LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE")
        slow = asyncio.create_task(conversation_gauges(world.database).count())
        async with asyncio.timeout(5):
            await read_model_gauges(world.database).count()
        assert not slow.done()
    await slow
    assert held(metrics.UNANSWERED_CONVERSATIONS) == 1
    assert held(metrics.CONVERSATIONS, "pending") == 1


async def test_a_scrape_forgets_what_is_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def count() -> None:
        metrics.OLDEST_UNSENT_AGE_SECONDS.of().set(900)

    gauges = CountedGauges(READ_MODEL, count)
    await gauges.count()
    monkeypatch.setattr(CountedGauges, "age_seconds", BELIEVED_SECONDS + 1)
    settings = Settings(_env_file=None)
    observe_clock(Ticker(world.log, world.database, settings), gauges, conversation_gauges(world.database))
    metrics.LOOP_AGE_SECONDS.clear()
    assert isnan(held(metrics.OLDEST_UNSENT_AGE_SECONDS))


async def while_running(work: Awaitable[None], look: Callable[[], Awaitable[object]]) -> None:
    task = asyncio.ensure_future(work)
    try:
        await look()
    finally:
        task.cancel()


def test_a_count_that_takes_long_is_done_rarely() -> None:
    assert pause_after(0.001) == EVERY_SECONDS
    assert pause_after(3.0) == 300.0
