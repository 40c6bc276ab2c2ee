"""Dead letters under fire: none is lost with its event, and what is redriven has its due, whatever happened meanwhile."""

import asyncio
from typing import Any

import pytest

from handlers.send import Sender
from projections.changes import RESPONDER, SENDER
from projections.state import PartStatus, ReplyStatus
from streams.consumer import GroupConsumer
from streams.delivery import Delivery
from streams.errors import LogUnavailable
from streams.events import EventDeadLettered, MessageReceived, RedriveRequested, SendStarted
from tests.handlers.fake_twilio import BROKEN, LOST
from tests.handlers.world import QUICK, World, Written, eventually, thread_of

ANA = thread_of(1, partition=1)
BIA = thread_of(2, partition=1)


async def send(sender: Sender, *written: Written) -> None:
    for each in written:
        await sender.send(each.delivered_to(SENDER))


async def redriven(world: World, written: Written, group: str = SENDER) -> Written:
    return await world.append(RedriveRequested(event=written.event.id, group=group, by="ana"), ANA)


async def letters(world: World) -> list[tuple[str, str]]:
    rows = await world.rows("SELECT consumer_group, status FROM dead_letters ORDER BY consumer_group")
    return [(row["consumer_group"], row["status"]) for row in rows]


# ------------------------------------------------------------------------------------------------------ the log away


class Away:
    """A log that takes everything but dead letters until it is back."""

    def __init__(self, world: World) -> None:
        self.refused = 0
        self.is_back = False
        self._append = world.log.append
        world.log.append = self.append  # type: ignore[method-assign]

    async def append(self, event: Any) -> Any:
        if isinstance(event.data, EventDeadLettered) and not self.is_back:
            self.refused += 1
            raise LogUnavailable("by hand")
        return await self._append(event)


async def fail(delivery: Delivery) -> None:
    if delivery.event.subject == ANA:
        raise ValueError


@pytest.fixture
async def consumer(world: World) -> Any:
    made = GroupConsumer(world.log, world.ownership, group=RESPONDER, names=frozenset({MessageReceived.name}))
    yield made
    await made.stop()


async def test_a_dead_letter_that_cannot_be_written_leaves_its_event_unfinished(world: World, consumer: GroupConsumer) -> None:
    away = Away(world)
    poison = await world.write(ANA)
    neighbour = await world.write(BIA)
    await consumer.start(world.attempts(fail).run)

    async def mark() -> int:
        return (await world.log.committed(RESPONDER))[1].position

    await eventually(lambda: away.refused >= 2)
    await eventually(lambda: consumer.in_flight == 1)
    await consumer._commit("now")
    assert await mark() < poison.at.position < neighbour.at.position
    away.is_back = True

    async def has_passed() -> bool:
        await consumer._commit("now")
        return await mark() >= neighbour.at.position

    await eventually(has_passed)
    assert await letters(world) == [(RESPONDER, "open")]


async def test_a_worker_that_ends_before_its_dead_letter_is_written_leaves_it_to_the_next(world: World) -> None:
    away, delivery = Away(world), (await world.write(ANA)).delivered_to(RESPONDER)
    ending = asyncio.create_task(world.attempts(fail).run(delivery))
    await eventually(lambda: away.refused)
    ending.cancel()
    await asyncio.wait([ending])
    away.is_back = True
    await world.attempts(fail).run(delivery)
    assert await letters(world) == [(RESPONDER, "open")]
    assert len(await world.facts(ANA, "attempt.failed")) == QUICK.max_attempts + 1


# --------------------------------------------------------------------------------------------------------- a redrive


async def test_a_redriven_event_that_fails_again_has_all_its_tries(world: World) -> None:
    tried = 0

    async def count(_: Delivery) -> None:
        nonlocal tried
        tried += 1
        raise ValueError

    written = await world.write(ANA)
    await world.attempts(count).run(written.delivered_to(RESPONDER))
    for times in (2, 3):
        await world.attempts(count).run((await redriven(world, written, RESPONDER)).delivered_to(RESPONDER))
        assert tried == times * QUICK.max_attempts


async def given_up(world: World, *parts: str, reply: str = "r1") -> Written:
    """A reply that the sender gave up before it was begun."""
    written = await world.answered(ANA, *parts, reply=reply)
    letter = EventDeadLettered(event=written.event.id, group=SENDER, attempts=5, error="E", fingerprint="f")
    await world.append(letter, ANA)
    return written


async def test_a_reply_that_is_redriven_after_a_newer_one_went_out_is_refused(world: World) -> None:
    old = await given_up(world, "old")
    await send(world.sender(), await world.answered(ANA, "new", reply="r2"))
    await send(world.sender(), await redriven(world, old))
    assert world.twilio.bodies() == ["new"]
    assert await letters(world) == [(SENDER, "refused")]


async def test_a_reply_that_is_redriven_before_a_newer_one_goes_out_is_sent_before_it(world: World) -> None:
    old = await given_up(world, "old")
    again = await redriven(world, old)
    await send(world.sender(), again, await world.answered(ANA, "new", reply="r2"))
    assert world.twilio.bodies() == ["old", "new"]


async def in_doubt(world: World) -> Written:
    """Given up while somebody held its first part: nobody knows whether that went out."""
    written = await world.answered(ANA, "one", "two")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    await world.append(EventDeadLettered(event=written.event.id, group=SENDER, attempts=2, error="E", fingerprint="f"), ANA)
    assert (await world.reply(ANA)).status is ReplyStatus.UNCONFIRMED
    return written


async def test_an_unconfirmed_reply_that_is_redriven_is_settled_before_anything_is_sent(world: World) -> None:
    written = await world.answered(ANA, "one", "two")
    world.twilio.script, world.twilio.listing_delay_seconds = [LOST], 3600
    working = asyncio.create_task(send(world.sender(grace_seconds=60), written))
    await eventually(lambda: world.twilio.listings)
    working.cancel()
    await asyncio.wait([working])
    await world.append(EventDeadLettered(event=written.event.id, group=SENDER, attempts=2, error="E", fingerprint="f"), ANA)
    assert (await world.reply(ANA)).status is ReplyStatus.UNCONFIRMED
    world.twilio.listing_delay_seconds = 0
    await send(world.sender(), await redriven(world, written))
    assert world.twilio.bodies() == ["one", "two"]


@pytest.mark.parametrize(("absence_is_proof", "bodies"), [(True, ["one", "two"]), (False, [])])
async def test_an_unconfirmed_reply_that_is_redriven_and_not_found_goes_by_what_absence_means(
    world: World, absence_is_proof: bool, bodies: list[str]
) -> None:
    again = await redriven(world, await in_doubt(world))
    await send(world.sender(grace_seconds=0.01, absence_is_proof=absence_is_proof), again)
    assert world.twilio.bodies() == bodies
    parts = [part.status for part in (await world.reply(ANA)).parts]
    assert parts == ([PartStatus.SENT] * 2 if bodies else [PartStatus.UNCONFIRMED, PartStatus.OPEN])


async def test_a_redrive_that_comes_twice_sends_once(world: World) -> None:
    written = await given_up(world, "Hello.")
    first, second = await redriven(world, written), await redriven(world, written)
    sender = world.sender()
    await asyncio.gather(send(sender, first), send(world.sender(), second))
    await send(sender, first, second)
    assert world.twilio.bodies() == ["Hello."]


async def test_a_redriven_reply_that_twilio_breaks_off_again_is_not_given_up_alone(world: World) -> None:
    world.twilio.script = [BROKEN] * (2 * QUICK.max_attempts)
    await send(world.sender(grace_seconds=0.01), await redriven(world, await given_up(world, "Hello.")))
    assert world.twilio.bodies() == ["Hello."]
