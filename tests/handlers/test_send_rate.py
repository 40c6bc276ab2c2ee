"""Sends that wait for their time: nothing is sent that was overtaken meanwhile, and nobody waits who may not."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from handlers.send_rate import SendRate
from projections.changes import SENDER
from streams import leaving
from streams.errors import LeaseLost, LogUnavailable
from streams.events import ConversationTaken
from tests.handlers.world import World, eventually, thread_of

ANA = thread_of(1)


@dataclass
class Limit:
    """By script: seconds to wait, None for no time within reach, or an error; then no wait."""

    script: list[float | Exception | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def reserve(self, key: str) -> float | None:
        self.asked.append(key)
        step = self.script.pop(0) if self.script else 0.0
        if isinstance(step, Exception):
            raise step
        return step

    async def close(self) -> None:
        pass


async def test_without_a_limit_nobody_waits() -> None:
    assert not await SendRate().admit(ANA)


async def test_our_address_is_what_is_limited() -> None:
    limit = Limit()
    await SendRate(limit).admit(ANA)
    assert limit.asked == ["whatsapp:+14155238886"]


@pytest.mark.parametrize("script", [[0.0], [0.01], [None, 0.01], [LogUnavailable("away"), 0.01], [None, LogUnavailable("away")]])
async def test_whoever_may_have_waited_is_told_so(script: list[float | Exception | None]) -> None:
    limit = Limit(script)
    assert await SendRate(limit).admit(ANA)
    assert limit.script == []


@pytest.mark.parametrize("script", [[3600.0], [None, 3600.0], [LogUnavailable("away")] * 1000])
async def test_nobody_waits_for_a_time_while_the_partition_is_given_back(script: list[float | Exception | None]) -> None:
    told = leaving.Leaving()
    limit = Limit(script)

    async def admit() -> None:
        leaving.OF_THIS_WORK.set(told)
        await SendRate(limit).admit(ANA)

    waiting = asyncio.create_task(admit())
    await eventually(lambda: limit.asked)
    told.tell()
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(waiting, 5)


async def test_who_waits_longest_goes_first_and_only_the_first_asks() -> None:
    limit = Limit([3600.0])
    rate, gone = SendRate(limit), list[int]()

    async def admit(number: int) -> None:
        await rate.admit(thread_of(number))
        gone.append(number)

    tasks = [asyncio.create_task(admit(number)) for number in range(5)]
    await eventually(lambda: limit.asked)
    await asyncio.sleep(0)
    assert len(limit.asked) == 1
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert gone == [1, 2, 3, 4]


async def test_an_address_does_not_wait_for_another() -> None:
    limit = Limit([3600.0])
    rate = SendRate(limit)
    waiting = asyncio.create_task(rate.admit(ANA))
    await eventually(lambda: limit.asked)
    await asyncio.wait_for(rate.admit("whatsapp:+14155238887|whatsapp:+5511"), 30)
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_every_part_waits_for_its_time(world: World) -> None:
    limit = Limit([0.01, 0.0, 0.01])
    written = await world.answered(ANA, "one", "two", "three")
    await world.sender(rate=SendRate(limit)).send(written.delivered_to(SENDER))
    assert world.twilio.bodies() == ["one", "two", "three"]
    assert len(limit.asked) == 3


async def test_what_was_withdrawn_while_it_waited_is_not_sent(world: World) -> None:
    written = await world.answered(ANA, "Hello.")

    class Slow(Limit):
        async def reserve(self, key: str) -> float | None:
            await world.append(ConversationTaken(by="ana"), ANA)
            await eventually(_taken(world))
            return 0.01

    await world.sender(rate=SendRate(Slow())).send(written.delivered_to(SENDER))
    assert world.twilio.calls == []
    assert await world.facts(ANA, "send.started") == []


def _taken(world: World) -> Callable[[], object]:
    async def taken() -> bool:
        state = await world.state(ANA)
        return state.conversation is not None and state.conversation.status == "handoff"

    return taken
