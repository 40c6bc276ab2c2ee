"""What becomes of a handler's failures: counted in the log, tried again, given up by name; and nobody else pays."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from handlers.breaker import FAILURES_IN_A_ROW, Breaker
from handlers.respond import GroupPaused
from projections.changes import RESPONDER, SENDER
from projections.state import ReplyStatus
from streams.delivery import Delivery
from streams.errors import ConfigurationError, LeaseLost
from streams.events import AttemptFailed, EventDeadLettered, RedriveRequested
from streams.retry import RetryPolicy
from telemetry import thread_hash
from tests.handlers.world import QUICK, World, Written, eventually, thread_of

ANA, BIA = thread_of(1), thread_of(2)
CANARY = "what the contact said"


@dataclass
class Handler:
    """Fails by script, then works."""

    failures: list[BaseException] = field(default_factory=list)
    handled: list[Delivery] = field(default_factory=list)
    tries: int = 0

    async def __call__(self, delivery: Delivery) -> None:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.handled.append(delivery)


async def dead(world: World, thread: str = ANA) -> Sequence[EventDeadLettered]:
    return [fact for fact in await world.facts(thread) if isinstance(fact, EventDeadLettered)]


async def counted(world: World, thread: str = ANA) -> int:
    return len(await world.facts(thread, "attempt.failed"))


async def test_a_handler_that_works_leaves_no_trace(world: World) -> None:
    handler = Handler()
    await world.attempts(handler).run((await world.write(ANA)).delivered_to(RESPONDER))
    assert len(handler.handled) == 1
    assert [fact.name for fact in await world.facts(ANA)] == ["message.received"]


async def test_a_failure_is_a_fact_in_the_log_and_is_tried_again(world: World) -> None:
    handler = Handler([ValueError(CANARY)])
    written = await world.write(ANA)
    await world.attempts(handler).run(written.delivered_to(RESPONDER))
    assert len(handler.handled) == 1
    assert await world.facts(ANA, "attempt.failed") == [
        AttemptFailed(event=written.event.id, group=RESPONDER, error="ValueError")
    ]


async def test_past_the_limit_the_event_is_a_dead_letter_with_a_fingerprint(world: World) -> None:
    handler = Handler([ValueError(CANARY)] * 99)
    written = await world.write(ANA)
    await world.attempts(handler).run(written.delivered_to(RESPONDER))
    assert handler.tries == QUICK.max_attempts
    (letter,) = await world.rows("SELECT event_id, consumer_group, error, attempts, status FROM dead_letters")
    assert letter == {
        "event_id": written.event.id,
        "consumer_group": RESPONDER,
        "error": "ValueError",
        "attempts": QUICK.max_attempts,
        "status": "open",
    }
    assert (await world.state(ANA)).unanswered == ()


async def test_failures_of_one_kind_have_one_fingerprint(world: World) -> None:
    async def fingerprint(thread: str, error: Exception) -> str:
        await world.attempts(Handler([error] * 99)).run((await world.write(thread)).delivered_to(RESPONDER))
        (letter,) = await dead(world, thread)
        return letter.fingerprint

    one, same = [await fingerprint(thread_of(number), ValueError(CANARY)) for number in (1, 2)]
    assert one == same != await fingerprint(thread_of(3), KeyError(CANARY))


async def test_the_pauses_between_tries_grow(world: World) -> None:
    tried_at: list[float] = []

    async def fail(_: Delivery) -> None:
        tried_at.append(asyncio.get_running_loop().time())
        raise ValueError

    retry = RetryPolicy(max_attempts=3, base_seconds=0.2, max_seconds=60)
    await world.attempts(fail, retry=retry).run((await world.write(ANA)).delivered_to(RESPONDER))
    first, second, third = tried_at
    assert second - first >= 0.1
    assert third - second >= 0.2


async def test_the_count_survives_the_worker(world: World) -> None:
    delivery = (await world.write(ANA)).delivered_to(RESPONDER)
    slow = RetryPolicy(max_attempts=3, base_seconds=60, max_seconds=60)
    for before in range(2):
        ending = asyncio.create_task(world.attempts(Handler([ValueError()] * 99), retry=slow).run(delivery))

        async def is_counted(before: int = before) -> bool:
            return await counted(world) == before + 1

        await eventually(is_counted)
        ending.cancel()
        await asyncio.wait([ending])
    last = Handler([ValueError()] * 99)
    await world.attempts(last, retry=slow).run(delivery)
    assert last.tries == 1
    assert [letter.attempts for letter in await dead(world)] == [3]


@pytest.mark.parametrize("error", [LeaseLost("partition 1"), GroupPaused(RESPONDER), ConfigurationError("X")])
async def test_what_passes_or_stops_the_process_is_not_counted(world: World, error: Exception) -> None:
    with pytest.raises(type(error)):
        await world.attempts(Handler([error])).run((await world.write(ANA)).delivered_to(RESPONDER))
    assert await counted(world) == 0


async def test_a_cancelled_handler_is_not_counted(world: World) -> None:
    is_running = asyncio.Event()

    async def hang(_: Delivery) -> None:
        is_running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(world.attempts(hang).run((await world.write(ANA)).delivered_to(RESPONDER)))
    await is_running.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await counted(world) == 0


async def test_when_everything_fails_the_group_waits_and_nothing_more_is_given_up(world: World) -> None:
    breaker = Breaker(RESPONDER, pause_seconds=0.01)
    once = RetryPolicy(max_attempts=1, base_seconds=0.001, max_seconds=0.001)
    for number in range(FAILURES_IN_A_ROW - 1):
        written = await world.write(thread_of(100 + number))
        await world.attempts(Handler([ValueError()] * 99), breaker=breaker, retry=once).run(written.delivered_to(RESPONDER))
    handler = Handler([ValueError()] * 5)
    await world.attempts(handler, breaker=breaker, retry=once).run((await world.write(ANA)).delivered_to(RESPONDER))
    assert breaker.is_open
    assert handler.tries == 6
    assert await dead(world) == []


# ------------------------------------------------------------------------------------------------ who is given up


async def test_a_redrive_that_fails_gives_up_what_it_sent_round_again(world: World) -> None:
    written = await world.write(ANA)
    await world.attempts(Handler([ValueError()] * 99)).run(written.delivered_to(RESPONDER))
    redrive = await world.append(RedriveRequested(event=written.event.id, group=RESPONDER, by="ana"), ANA)
    handler = Handler([KeyError()] * QUICK.max_attempts)
    await world.attempts(handler).run(redrive.delivered_to(RESPONDER))
    assert [letter.event for letter in await dead(world)] == [written.event.id] * 2
    (row,) = await world.rows("SELECT status, error FROM dead_letters")
    assert row == {"status": "open", "error": "KeyError"}
    await world.append(RedriveRequested(event=written.event.id, group=RESPONDER, by="ana"), ANA)
    assert [message.event for message in (await world.state(ANA)).unanswered] == [written.event.id]


async def test_a_sender_gives_up_the_reply_that_holds_the_thread_up_and_sends_the_next(world: World) -> None:
    """The newer reply's event is the one delivered, and the older reply the one that fails."""
    stuck = await world.answered(ANA, "stuck", reply="r1")
    newer = await world.answered(ANA, "newer", reply="r2")
    create = world.twilio.create_message

    async def picky(**form: str) -> object:
        if form["body"] == "stuck":
            raise ValueError(CANARY)
        return await create(**form)

    world.twilio.create_message = picky  # type: ignore[method-assign, assignment]
    sender = world.sender(grace_seconds=0.05)
    await world.attempts(sender.send).run(newer.delivered_to(SENDER))
    assert [letter.event for letter in await dead(world)] == [stuck.event.id]
    assert world.twilio.bodies() == ["newer"]
    assert (await world.reply(ANA, "r1")).status in {ReplyStatus.FAILED, ReplyStatus.UNCONFIRMED}
    assert {fact.event for fact in await world.facts(ANA, "attempt.failed") if isinstance(fact, AttemptFailed)} == {
        stuck.event.id
    }


async def test_each_reply_that_fails_has_all_its_tries(world: World) -> None:
    """Both are worked on in one delivery, and the second must not pay for the first."""
    first, second = await world.answered(ANA, "one", reply="r1"), await world.answered(ANA, "two", reply="r2")
    create, tries = world.twilio.create_message, list[str]()

    async def picky(**form: str) -> object:
        tries.append(form["body"])
        if len(tries) < QUICK.max_attempts + 2:
            raise ValueError(CANARY)
        return await create(**form)

    world.twilio.create_message = picky  # type: ignore[method-assign, assignment]
    await world.attempts(world.sender(grace_seconds=0.02).send).run(first.delivered_to(SENDER))
    assert [letter.event for letter in await dead(world)] == [first.event.id]
    await world.attempts(world.sender(grace_seconds=0.02).send).run(second.delivered_to(SENDER))
    assert world.twilio.bodies() == ["two"]


async def test_a_finished_reply_that_fails_again_costs_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a callback told of the first cannot be dealt with; the second is delivered, and innocent."""
    first = await world.answered(ANA, "first", reply="r1")
    await world.sender().send(first.delivered_to(SENDER))
    await world.status(ANA, world.twilio.taken[0].sid, "failed", attempt=world.twilio.calls[0], code=63018)
    second = await world.answered(ANA, "second", reply="r2")

    def refuse(_: int | None) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr("handlers.send.classify_callback", refuse)
    await world.attempts(world.sender().send).run(second.delivered_to(SENDER))
    assert world.twilio.bodies() == ["first", "second"]
    assert [letter.event for letter in await dead(world)] == [first.event.id]


async def test_a_step_that_changes_nothing_is_given_up(world: World) -> None:
    """A fold that takes no notice of what is recorded, such as one that skips the thread's events as poison."""
    written = await world.answered(ANA, "Hello.")
    sender = world.sender()
    journal = world.journal()

    async def unheard(*_: object, **__: object) -> object:
        return await journal.look(ANA, written.at.position)

    sender._journal.record = unheard  # type: ignore[method-assign, assignment]
    with capture_logs() as lines:
        await world.attempts(sender.send).run(written.delivered_to(SENDER))
    assert {line["error"] for line in lines if line["event"] == "attempt.failed"} == {"SendStuck"}
    assert [letter.event for letter in await dead(world)] == [written.event.id]


# ---------------------------------------------------------------------------------------------------------- ticks


@pytest.mark.parametrize("error", [ValueError(CANARY), LeaseLost("partition 1")])
async def test_a_tick_that_fails_is_left_to_the_next_one(world: World, error: Exception) -> None:
    handler = Handler([error])
    tick = await world.tick(1)
    await world.attempts(handler).run(tick.delivered_to(RESPONDER))
    assert handler.tries == 1
    assert await world.facts("partition/1", "attempt.failed", "event.dead_lettered") == []


async def test_a_tick_that_must_stop_the_process_stops_it(world: World) -> None:
    tick = await world.tick(1)
    with pytest.raises(ConfigurationError):
        await world.attempts(Handler([ConfigurationError("DATABASE_URL")])).run(tick.delivered_to(RESPONDER))


async def test_a_tick_is_not_handled_as_one_thing_where_a_killer_is_looked_for(world: World) -> None:
    handler = Handler()
    await world.attempts(handler).run((await world.tick(1)).delivered_to(RESPONDER, isolated=True))
    assert handler.tries == 0


# ----------------------------------------------------------------------------------------------------- log lines


async def test_each_line_names_its_group_event_thread_partition_and_owner_and_none_says_what_was_said(world: World) -> None:
    written: Written = await world.write(ANA, CANARY)
    with capture_logs(processors=[merge_contextvars]) as lines:
        await world.attempts(Handler([ValueError(CANARY)] * 99)).run(written.delivered_to(RESPONDER))
    assert {line["event"] for line in lines} >= {"attempt.failed", "event.dead_lettered"}
    for line in (line for line in lines if "conversation_id" not in line):  # those are the projection's
        assert line["group"] == RESPONDER
        assert line["event_id"] == written.event.id
        assert line["thread_hash"] == thread_hash(ANA)
        assert line["partition"] == written.delivered_to(RESPONDER).partition
        assert line["correlation_id"] == written.event.correlation_id
        assert line["owner"] == "default"
    assert CANARY not in str(lines)
    assert "5511" not in str(lines)
