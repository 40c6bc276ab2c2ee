"""A graceful stop in the middle of a reply: the part in hand is finished, and the next owner goes on with the rest at once."""

import asyncio
import time
from typing import Any

import pytest

from handlers import journal as journal_module
from handlers.breaker import Breaker
from handlers.journal import Journal
from handlers.model import ModelFailed
from handlers.respond import RESPONDER_EVENTS
from handlers.send import SENDER_EVENTS
from handlers.turn import TurnLimits
from projections.changes import RESPONDER, SENDER
from projections.progress import Progress
from projections.reader import Reader
from projections.state import ReplyStatus
from streams.consumer import GroupConsumer
from streams.delivery import Delivery, Handler
from streams.engines.memory import MemoryOwnership
from streams.retry import RetryPolicy
from tests.handlers.fake_twilio import LOST, NEVER, FakeTwilio
from tests.handlers.world import Model, World, eventually, thread_of

PARTITION = 1
ANA = thread_of(1, PARTITION)
CALL_SECONDS = 0.3
DRAIN_SECONDS = 2 * CALL_SECONDS + 0.1
"""In proportion as they are: a call takes half as long as a drain at most, and a long reply much longer."""
PARTS = [f"part {number}" for number in range(6)]
GRACE_SECONDS = 3.0


class Slow(FakeTwilio):
    async def create_message(self, **form: str) -> object:  # type: ignore[override]
        await asyncio.sleep(CALL_SECONDS)
        return await super().create_message(**form)


async def owner(
    world: World, twilio: FakeTwilio, *, drain_seconds: float = DRAIN_SECONDS, **sender: Any
) -> tuple[MemoryOwnership, GroupConsumer]:
    ownership = MemoryOwnership()
    sending = world.sender(twilio=twilio, ownership=ownership, **{"grace_seconds": GRACE_SECONDS, **sender})
    return ownership, await serving(world, ownership, SENDER, SENDER_EVENTS, world.attempts(sending.send).run, drain_seconds)


async def serving(
    world: World, ownership: MemoryOwnership, group: str, names: frozenset[str], handle: Handler, drain_seconds: float
) -> GroupConsumer:
    consumer = GroupConsumer(world.log, ownership, group=group, names=names, drain_seconds=drain_seconds)
    await consumer.start(handle)
    ownership.gain(PARTITION)
    return consumer


async def seconds_to_give_back(ownership: MemoryOwnership) -> float:
    began = time.monotonic()
    await ownership.give_back(PARTITION)
    return time.monotonic() - began


async def test_a_reply_that_a_stop_interrupts_is_gone_on_with_at_once(world: World) -> None:
    twilio = Slow()
    first, leaving = await owner(world, twilio)
    await world.answered(ANA, *PARTS)
    await eventually(lambda: twilio.taken)
    await first.give_back(PARTITION)
    sent_before, given_back_at = len(twilio.taken), time.monotonic()
    _, staying = await owner(world, twilio)
    await eventually(lambda: len(twilio.called_at) > sent_before)
    waited = twilio.called_at[sent_before] - CALL_SECONDS - given_back_at
    await eventually(lambda: len(twilio.taken) == len(PARTS))
    assert twilio.bodies() == PARTS
    assert twilio.listings == 0, "nothing was in doubt"
    assert waited < CALL_SECONDS
    for consumer in (leaving, staying):
        await consumer.stop()


# ------------------------------------------------------------------------------------------------------ who only waits

SLOWLY = RetryPolicy(max_attempts=100, base_seconds=3600.0, max_seconds=3600.0)
LONG = 30.0
"""A drain that would be noticed; nothing below may need a tenth of it."""


async def test_a_pause_before_the_next_call_ends_with_the_stop_and_the_next_owner_calls_at_once(world: World) -> None:
    twilio = FakeTwilio(script=[NEVER])
    ownership, leaving = await owner(world, twilio, drain_seconds=LONG, retry=SLOWLY)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: twilio.calls)
    await eventually(lambda: is_settled(world))
    assert await seconds_to_give_back(ownership) < LONG / 10
    _, staying = await owner(world, twilio)
    await eventually(lambda: twilio.bodies() == ["Hello."])
    assert twilio.listings == 0, "nothing was in doubt"
    for consumer in (leaving, staying):
        await consumer.stop()


async def is_settled(world: World) -> bool:
    """Whether nobody holds the part any more."""
    part = (await world.reply(ANA)).parts[0]
    return bool(part.attempts) and part.holder is None


async def test_a_search_for_proof_ends_with_the_stop_and_the_next_owner_goes_on_with_it(world: World) -> None:
    twilio = FakeTwilio(script=[LOST], listing_delay_seconds=3600)
    ownership, leaving = await owner(world, twilio, drain_seconds=LONG, grace_seconds=3600.0)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: twilio.listings)
    assert await seconds_to_give_back(ownership) < LONG / 10
    twilio.listing_delay_seconds = 0
    _, staying = await owner(world, twilio, grace_seconds=3600.0)
    await eventually(lambda: is_settled(world))
    assert twilio.bodies() == ["Hello."]
    for consumer in (leaving, staying):
        await consumer.stop()


async def test_a_paused_group_stops_at_once_whoever_stands_first_in_line(world: World) -> None:
    """The one that is about to try belongs to a partition that stays."""
    breaker = Breaker(SENDER, pause_seconds=3600.0)
    breaker.trip("a test")
    first_in_line = asyncio.create_task(breaker.admit())
    for _ in range(12):
        breaker.failed("a test", "event", "thread")
    ownership, leaving = await owner(world, FakeTwilio(), drain_seconds=LONG, breaker=breaker)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: leaving.in_flight)
    assert await seconds_to_give_back(ownership) < LONG / 10
    first_in_line.cancel()
    await leaving.stop()


async def test_a_pause_between_two_tries_of_a_handler_ends_with_the_stop(world: World) -> None:
    failed = asyncio.Event()

    async def fails(_: Delivery) -> None:
        failed.set()
        raise ValueError

    ownership = MemoryOwnership()
    attempts = world.attempts(fails, retry=SLOWLY)
    leaving = await serving(world, ownership, RESPONDER, RESPONDER_EVENTS, attempts.run, LONG)
    await world.write(ANA)
    await failed.wait()
    await eventually(lambda: world.facts(ANA, "attempt.failed"))
    assert await seconds_to_give_back(ownership) < LONG / 10
    await leaving.stop()


async def test_a_pause_between_two_rounds_of_models_ends_with_the_stop(world: World) -> None:
    model = Model(script=[ModelFailed("status 503", code="503")])
    ownership = MemoryOwnership()
    limits = TurnLimits(SLOWLY, request_timeout_seconds=2.0, turn_timeout_seconds=36_000.0)
    responder = world.responder(model, limits=limits)
    leaving = await serving(world, ownership, RESPONDER, RESPONDER_EVENTS, world.attempts(responder.respond).run, LONG)
    await world.write(ANA)
    await eventually(lambda: model.questions)
    assert await seconds_to_give_back(ownership) < LONG / 10
    following = await serving(
        world, MemoryOwnership(), RESPONDER, RESPONDER_EVENTS, world.attempts(world.responder(model).respond).run, LONG
    )
    await eventually(lambda: world.facts(ANA, "reply.generated"))
    for consumer in (leaving, following):
        await consumer.stop()


async def test_who_waits_for_a_projection_that_stands_still_leaves_soon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is where the log lost its tail: the projector has ended, and nobody else goes on."""
    monkeypatch.setattr(journal_module, "LEAVING_SECONDS", 0.1)
    progress = Progress(world.database)

    async def never(_: int, __: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(progress, "reached", never)
    journal = Journal(world.log, progress, Reader(world.database), source="test")
    twilio = FakeTwilio()
    ownership, leaving = await owner(world, twilio, drain_seconds=LONG, journal=journal)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: leaving.in_flight)
    assert await seconds_to_give_back(ownership) < LONG / 10
    await leaving.stop()


async def test_a_call_that_has_begun_is_recorded_however_long_the_log_is_away_within_the_drain(world: World) -> None:
    """Nobody hurries what would have to be settled."""
    twilio, inside = Slow(), asyncio.Event()
    journal = world.journal()
    record = journal.record

    async def slowly(data: Any, **place: Any) -> Any:
        if data.name == "message.sent":
            inside.set()
            await asyncio.sleep(CALL_SECONDS)
        return await record(data, **place)

    journal.record = slowly  # type: ignore[method-assign]
    ownership, leaving = await owner(world, twilio, drain_seconds=LONG, journal=journal)
    await world.answered(ANA, "Hello.")
    await inside.wait()
    await ownership.give_back(PARTITION)
    assert (await world.reply(ANA)).status is ReplyStatus.SENT
    await leaving.stop()
