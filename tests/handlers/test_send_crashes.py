"""A sender that ends anywhere, and another that goes on: what is to be sent is sent once."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from handlers.journal import Journal
from handlers.send import Sender
from handlers.twilio_answers import Refused
from projections.changes import SENDER
from projections.reader import Reader
from projections.state import ReplyStatus
from streams.events import ConversationTaken
from tests.handlers.fake_twilio import BROKEN, LOST, TOO_MANY, FakeTwilio
from tests.handlers.world import World, Written, thread_of

MOST_POINTS = 200


@dataclass
class Crash:
    """Cancels the task that passes the n-th point, and every later one."""

    at: int
    passed: int = 0

    async def point(self) -> None:
        self.passed += 1
        if self.passed >= self.at:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.Event().wait()


class CrashingJournal(Journal):
    """Ends before or after everything that it does: before and after an append, before and after a look."""

    crash: Crash

    async def look(self, *args: Any) -> Any:
        await self.crash.point()
        return await super().look(*args)

    async def record(self, *args: Any, **more: Any) -> Any:
        await self.crash.point()
        view = await super().record(*args, **more)
        await self.crash.point()
        return view

    async def accounted_sids(self, *args: Any, **more: Any) -> Any:
        await self.crash.point()
        return await super().accounted_sids(*args, **more)

    async def time_ms(self) -> int:
        await self.crash.point()
        return await super().time_ms()


@dataclass
class CrashingTwilio(FakeTwilio):
    """Of one contact; a worker ends before the call, after Twilio took it, and around a listing."""

    crash: Crash = field(default_factory=lambda: Crash(MOST_POINTS))

    async def create_message(self, **form: Any) -> Any:
        await self.crash.point()
        result = await super().create_message(**form)
        await self.crash.point()
        return result

    async def list_messages(self, **query: Any) -> Any:
        await self.crash.point()
        return await super().list_messages(**query)


def crashing(world: World, twilio: FakeTwilio, crash: Crash) -> Sender:
    journal = CrashingJournal(world.log, world.progress, Reader(world.database), source="test")
    journal.crash = crash
    dying = CrashingTwilio(script=twilio.script, taken=twilio.taken, calls=twilio.calls, crash=crash)
    return world.sender(journal=journal, twilio=dying, grace_seconds=0.15)


async def ends(sender: Sender, written: Written) -> bool:
    """Whether it ended by its crash; or it was done before."""
    task = asyncio.create_task(sender.send(written.delivered_to(SENDER)))
    await asyncio.wait([task])
    if task.cancelled():
        return True
    task.result()
    return False


async def sent_in_spite_of(world: World, number: int, script: list[Any], crashes: tuple[int, ...]) -> bool:
    """Crash, crash again, and then go on; whether the last crash came to pass."""
    thread, twilio = thread_of(number), FakeTwilio(script=list(script))
    written = await world.answered(thread, "one", "two", reply=f"r{number}")
    has_crashed = False
    for at in crashes:
        has_crashed = await ends(crashing(world, twilio, Crash(at)), written)
    await world.sender(twilio=twilio, grace_seconds=0.15).send(written.delivered_to(SENDER))
    story = [fact.name for fact in await world.facts(thread)]
    assert twilio.bodies() == ["one", "two"], (script, crashes, story, twilio.calls, twilio.taken)
    assert (await world.reply(thread, f"r{number}")).status is ReplyStatus.SENT
    return has_crashed


@pytest.mark.parametrize("script", [[], [LOST], [BROKEN], [TOO_MANY], [LOST, BROKEN]], ids=str)
async def test_wherever_a_worker_ends_each_part_is_accepted_once(world: World, script: list[Any]) -> None:
    outcomes = await asyncio.gather(*(sent_in_spite_of(world, at, script, (at,)) for at in range(1, 31)))
    reached = outcomes.index(False) if False in outcomes else len(outcomes)
    assert reached >= 13, "too few points: the sweep looks at less than a send consists of"


async def test_wherever_two_workers_end_one_after_the_other_each_part_is_accepted_once(world: World) -> None:
    pairs = [(first, second) for first in range(2, 14, 2) for second in range(2, 14, 3)]
    await asyncio.gather(*(sent_in_spite_of(world, number, [LOST], pair) for number, pair in enumerate(pairs)))


@pytest.mark.parametrize("at", range(2, 14))
async def test_wherever_a_worker_ends_where_absence_proves_nothing_no_part_is_accepted_twice(world: World, at: int) -> None:
    thread, twilio = thread_of(at), FakeTwilio(script=[LOST])
    written = await world.answered(thread, "one", "two")
    await ends(crashing(world, twilio, Crash(at)), written)
    await world.sender(twilio=twilio, grace_seconds=0.15, absence_is_proof=False).send(written.delivered_to(SENDER))
    assert twilio.bodies() in (["one", "two"], ["one"], [])
    status = (await world.reply(thread)).status
    assert status is (ReplyStatus.SENT if len(twilio.taken) == 2 else ReplyStatus.UNCONFIRMED)


async def test_a_refusal_that_nobody_recorded_is_recorded_by_the_next(world: World) -> None:
    for at in range(2, 10):
        thread, twilio = thread_of(at), FakeTwilio(script=[Refused(400, 21211)] * 2)
        written = await world.answered(thread, "one", reply=f"r{at}")
        await ends(crashing(world, twilio, Crash(at)), written)
        await world.sender(twilio=twilio, grace_seconds=0.15).send(written.delivered_to(SENDER))
        assert twilio.taken == []
        assert (await world.reply(thread, f"r{at}")).status is ReplyStatus.FAILED


# ------------------------------------------------------------------------------------------------------ two owners


async def test_two_senders_that_race_for_a_part_make_one_call(world: World) -> None:
    for number in range(8):
        thread, twilio = thread_of(number), FakeTwilio()
        written = await world.answered(thread, "one", "two", reply=f"r{number}")
        senders = [world.sender(twilio=twilio, grace_seconds=9.0) for _ in range(3)]
        await asyncio.gather(*(sender.send(written.delivered_to(SENDER)) for sender in senders))
        assert twilio.bodies() == ["one", "two"]
        assert len(twilio.calls) == 2


async def test_a_paused_owner_that_wakes_up_after_its_successor_has_sent_does_not_send(world: World) -> None:
    """It was paused after its part was granted; its lease is over by its own clock."""
    written, twilio = await world.answered(thread_of(1), "one"), FakeTwilio()
    gate, granted = asyncio.Event(), asyncio.Event()

    class Paused(CrashingJournal):
        async def record(self, data: Any, **place: Any) -> Any:
            view = await Journal.record(self, data, **place)
            if data.name == "send.started":
                granted.set()
                await gate.wait()
            return view

    class Lapsed:
        owned = ()

        def remaining_seconds(self, _: int) -> float:
            return 0.0 if gate.is_set() else 9.0

        def is_leaving(self, _: int) -> bool:
            return False

    journal = Paused(world.log, world.progress, Reader(world.database), source="paused")
    journal.crash = Crash(MOST_POINTS)
    paused = world.sender(journal=journal, twilio=twilio, ownership=Lapsed(), lease_seconds=0.1)
    waking = asyncio.create_task(ends(paused, written))
    await granted.wait()
    await world.sender(twilio=twilio, grace_seconds=0.1).send(written.delivered_to(SENDER))
    gate.set()
    with pytest.raises(Exception, match="partition"):
        await waking
    assert twilio.bodies() == ["one"]


async def test_a_worker_that_ends_in_a_handoff_leaves_nothing_to_be_sent(world: World) -> None:
    for at in range(2, 8):
        thread, twilio = thread_of(at), FakeTwilio()
        written = await world.answered(thread, "one", "two", reply=f"r{at}")
        await ends(crashing(world, twilio, Crash(at)), written)
        await world.append(ConversationTaken(by="ana"), thread)
        await world.sender(twilio=twilio, grace_seconds=0.1).send(written.delivered_to(SENDER))
        assert twilio.bodies() in ([], ["one"])
        assert len(twilio.calls) <= 1
