"""A graceful stop in the middle of a reply: the part in hand is finished, and the next owner goes on with the rest at once."""

import asyncio
import time

from handlers.send import SENDER_EVENTS
from projections.changes import SENDER
from streams.consumer import GroupConsumer
from streams.engines.memory import MemoryOwnership
from tests.handlers.fake_twilio import FakeTwilio
from tests.handlers.world import World, eventually, thread_of

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


async def owner(world: World, twilio: FakeTwilio) -> tuple[MemoryOwnership, GroupConsumer]:
    ownership = MemoryOwnership()
    consumer = GroupConsumer(world.log, ownership, group=SENDER, names=SENDER_EVENTS, drain_seconds=DRAIN_SECONDS)
    sender = world.sender(twilio=twilio, ownership=ownership, grace_seconds=GRACE_SECONDS)
    await consumer.start(world.attempts(sender.send).run)
    ownership.gain(PARTITION)
    return ownership, consumer


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
