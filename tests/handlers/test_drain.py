"""A graceful stop in the middle of a reply: the part in hand is finished, and the next owner goes on with the rest at once."""

import asyncio
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
from projections.reader import Reader, View
from projections.state import ReplyStatus
from streams.consumer import GroupConsumer
from streams.delivery import Delivery, Handler
from streams.engines.memory import MemoryOwnership
from streams.leaving import is_told
from streams.retry import RetryPolicy
from tests.handlers.fake_twilio import LOST, NEVER, FakeTwilio
from tests.handlers.world import Model, World, eventually, thread_of

PARTITION = 1
ANA = thread_of(1, PARTITION)
PARTS = [f"part {number}" for number in range(6)]

LONG = 600.0
"""A drain, or a grace period, that nothing below may need a tenth of."""
SOON = LONG / 10


class Held(FakeTwilio):
    """Keeps whoever calls waiting while `gate` is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.is_called = asyncio.Event(), asyncio.Event()

    async def create_message(self, **form: str) -> object:  # type: ignore[override]
        self.is_called.set()
        await self.gate.wait()
        return await super().create_message(**form)


async def owner(world: World, twilio: FakeTwilio, **sender: Any) -> tuple[MemoryOwnership, GroupConsumer]:
    ownership = MemoryOwnership()
    sending = world.sender(twilio=twilio, ownership=ownership, **{"grace_seconds": LONG, **sender})
    return ownership, await serving(world, ownership, SENDER, SENDER_EVENTS, world.attempts(sending.send).run)


async def serving(world: World, ownership: MemoryOwnership, group: str, names: frozenset[str], handle: Handler) -> GroupConsumer:
    consumer = GroupConsumer(world.log, ownership, group=group, names=names, drain_seconds=LONG)
    await consumer.start(handle)
    ownership.gain(PARTITION)
    return consumer


async def give_back_soon(ownership: MemoryOwnership) -> None:
    async with asyncio.timeout(SOON):
        await ownership.give_back(PARTITION)


async def test_a_reply_that_a_stop_interrupts_is_gone_on_with_at_once(world: World) -> None:
    """The part in hand is finished and recorded, and no other is begun; so nobody waits for proof of anything."""
    twilio = Held()
    first, leaving = await owner(world, twilio)
    await world.answered(ANA, *PARTS)
    await twilio.is_called.wait()
    giving_back = asyncio.create_task(give_back_soon(first))
    await eventually(lambda: first.is_leaving(PARTITION))
    twilio.gate.set()
    await giving_back
    assert twilio.bodies() == PARTS[:1]
    _, staying = await owner(world, twilio)
    await eventually(lambda: len(twilio.taken) == len(PARTS))
    assert twilio.bodies() == PARTS
    assert twilio.listings == 0, "nothing was in doubt"
    for consumer in (leaving, staying):
        await consumer.stop()


# ------------------------------------------------------------------------------------------------------ who only waits

SLOWLY = RetryPolicy(max_attempts=100, base_seconds=3600.0, max_seconds=3600.0)


async def test_a_pause_before_the_next_call_ends_with_the_stop_and_the_next_owner_calls_at_once(world: World) -> None:
    twilio = FakeTwilio(script=[NEVER])
    ownership, leaving = await owner(world, twilio, retry=SLOWLY)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: twilio.calls)
    await eventually(lambda: is_settled(world))
    await give_back_soon(ownership)
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
    ownership, leaving = await owner(world, twilio)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: twilio.listings)
    await give_back_soon(ownership)
    twilio.listing_delay_seconds = 0
    _, staying = await owner(world, twilio)
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
    ownership, leaving = await owner(world, FakeTwilio(), breaker=breaker)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: leaving.in_flight)
    await give_back_soon(ownership)
    first_in_line.cancel()
    await leaving.stop()


async def test_a_pause_between_two_tries_of_a_handler_ends_with_the_stop(world: World) -> None:
    failed = asyncio.Event()

    async def fails(_: Delivery) -> None:
        failed.set()
        raise ValueError

    ownership = MemoryOwnership()
    attempts = world.attempts(fails, retry=SLOWLY)
    leaving = await serving(world, ownership, RESPONDER, RESPONDER_EVENTS, attempts.run)
    await world.write(ANA)
    await failed.wait()
    await eventually(lambda: world.facts(ANA, "attempt.failed"))
    await give_back_soon(ownership)
    await leaving.stop()


async def test_a_pause_between_two_rounds_of_models_ends_with_the_stop(world: World) -> None:
    model = Model(script=[ModelFailed("status 503", code="503")])
    ownership = MemoryOwnership()
    limits = TurnLimits(SLOWLY, request_timeout_seconds=2.0, turn_timeout_seconds=36_000.0)
    responder = world.responder(model, limits=limits)
    leaving = await serving(world, ownership, RESPONDER, RESPONDER_EVENTS, world.attempts(responder.respond).run)
    await world.write(ANA)
    await eventually(lambda: model.questions)
    await give_back_soon(ownership)
    following = await serving(
        world, MemoryOwnership(), RESPONDER, RESPONDER_EVENTS, world.attempts(world.responder(model).respond).run
    )
    await eventually(lambda: world.facts(ANA, "reply.generated"))
    for consumer in (leaving, following):
        await consumer.stop()


async def test_a_stop_ends_a_quiet_window_and_the_next_owner_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    model, journal, ownership, has_looked = Model(), world.journal(), MemoryOwnership(), asyncio.Event()
    look = journal.look

    async def look_and_tell(thread: str, at_least: int = 0) -> View:
        """What follows without a pause is the quiet window."""
        view = await look(thread, at_least)
        has_looked.set()
        return view

    monkeypatch.setattr(journal, "look", look_and_tell)
    responder = world.responder(model, quiet_seconds=3600.0, journal=journal)
    leaving = await serving(world, ownership, RESPONDER, RESPONDER_EVENTS, responder.respond)
    await world.write(ANA)
    await has_looked.wait()
    await give_back_soon(ownership)
    assert model.questions == []
    await answered_by_the_next_owner(world, model)
    await leaving.stop()


async def test_no_model_is_asked_once_a_stop_has_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However near to it one was: the answer might not come within the drain, and would be paid for twice."""
    model, journal, ownership, is_about_to_ask = Model(), world.journal(), MemoryOwnership(), asyncio.Event()
    history = journal.history

    async def history_as_the_stop_begins(*asked: Any, **limit: Any) -> Any:
        is_about_to_ask.set()
        await eventually(is_told)
        return await history(*asked, **limit)

    monkeypatch.setattr(journal, "history", history_as_the_stop_begins)
    responder = world.responder(model, journal=journal)
    leaving = await serving(world, ownership, RESPONDER, RESPONDER_EVENTS, responder.respond)
    await world.write(ANA)
    await is_about_to_ask.wait()
    await ownership.give_back(PARTITION)
    assert model.questions == []
    await answered_by_the_next_owner(world, model)
    await leaving.stop()


async def answered_by_the_next_owner(world: World, model: Model) -> None:
    following = await serving(world, MemoryOwnership(), RESPONDER, RESPONDER_EVENTS, world.responder(model).respond)
    await eventually(lambda: world.facts(ANA, "reply.generated"))
    assert len(model.questions) == 1
    await following.stop()


async def test_who_waits_for_a_projection_that_stands_still_leaves_soon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is where the log lost its tail: the projector has ended, and nobody else goes on."""
    monkeypatch.setattr(journal_module, "LEAVING_SECONDS", 0.1)
    progress = Progress(world.database)

    async def never(_: int, __: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(progress, "reached", never)
    journal = Journal(world.log, progress, Reader(world.database), source="test")
    twilio = FakeTwilio()
    ownership, leaving = await owner(world, twilio, journal=journal)
    await world.answered(ANA, "Hello.")
    await eventually(lambda: leaving.in_flight)
    await give_back_soon(ownership)
    await leaving.stop()


AWAY_SECONDS = 0.3


async def test_a_call_that_has_begun_is_recorded_however_long_the_log_is_away_within_the_drain(world: World) -> None:
    """Nobody hurries what would have to be settled."""
    twilio, inside = FakeTwilio(), asyncio.Event()
    journal = world.journal()
    record = journal.record

    async def slowly(data: Any, **place: Any) -> Any:
        if data.name == "message.sent":
            inside.set()
            await eventually(is_told)
            await asyncio.sleep(AWAY_SECONDS)
        return await record(data, **place)

    journal.record = slowly  # type: ignore[method-assign]
    ownership, leaving = await owner(world, twilio, journal=journal)
    await world.answered(ANA, "Hello.")
    await inside.wait()
    await ownership.give_back(PARTITION)
    assert (await world.reply(ANA)).status is ReplyStatus.SENT
    await leaving.stop()
