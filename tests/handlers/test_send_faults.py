"""
Seeds of everything that can go wrong between us and Twilio: nothing is accepted twice, and nothing waits for ever.

Calls are answered with 429, refused, never connected, broken off before or after Twilio took the message; listings fail, or show
a message late; callbacks are lost, late, doubled, or come before our own record. Two workers work on each reply, both of which
may end anywhere, or be paused for longer than their lease.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from handlers.send import Sender
from handlers.twilio_answers import ListedMessage, Refused, SendResult
from projections.changes import SENDER
from projections.reader import Reader
from projections.state import PartStatus
from streams.errors import LeaseLost
from tests.handlers.fake_twilio import BROKEN, LOST, NEVER, TOO_MANY, UNAVAILABLE, FakeTwilio
from tests.handlers.test_send_crashes import Crash, CrashingJournal
from tests.handlers.world import World, Written, thread_of

CONTACTS = 16
MOST_FAULTS = 4
"""Of one contact; the next call is taken."""

LEASE, TIMEOUT, PROOF = 0.5, 0.1, 0.3
GRACE = LEASE + TIMEOUT + PROOF

FINISHED = {PartStatus.SENT, PartStatus.REJECTED, PartStatus.UNCONFIRMED, PartStatus.CANCELLED}
"""What is open waits too where a person is to decide about the part before it."""


@dataclass
class Faulty(FakeTwilio):
    """Of one contact. Whatever it takes it lists after `listing_delay_seconds`, and perhaps tells of by callback."""

    dice: random.Random = field(default_factory=random.Random)
    world: World | None = None
    thread: str = ""
    faults: int = 0
    told: list[asyncio.Task[None]] = field(default_factory=list)

    async def create_message(self, **form: Any) -> SendResult:
        fault = self._fault()
        if fault is None or fault == LOST:
            self.script = [LOST] if fault else []
            return await self._take(form)
        await self.note_call(form["status_callback"])
        result: SendResult = fault
        return result

    def _fault(self) -> Any:
        """An answer that leaves nothing behind, `LOST`, or nothing."""
        self.faults += 1
        if self.faults > MOST_FAULTS:
            return None
        return self.dice.choice([None, None, LOST, LOST, BROKEN, BROKEN, NEVER, TOO_MANY, Refused(400, 21211)])

    async def _take(self, form: Any) -> SendResult:
        result = await super().create_message(**form)
        taken = self.taken[-1]
        for _ in range(self.dice.choice([0, 0, 1, 2])):
            delay = self.dice.choice([0.0, 0.05, GRACE, 2 * GRACE])
            self.told.append(asyncio.create_task(self._tell(taken.sid, taken.attempt, delay)))
        await asyncio.sleep(self.dice.choice([0.0, 0.05]))
        return result

    async def _tell(self, sid: str, attempt: str, delay: float) -> None:
        await asyncio.sleep(delay)
        assert self.world is not None
        await self.world.status(self.thread, sid, self.dice.choice(["sent", "delivered"]), attempt=attempt)

    async def list_messages(self, **query: Any) -> tuple[ListedMessage, ...]:
        if self.dice.random() < 0.3:
            self.listings += 1
            raise UNAVAILABLE
        return await super().list_messages(**query)


class Paused(CrashingJournal):
    """Once it is paused for longer than its lease, between the grant of an attempt and its call."""

    pauses: list[float]

    async def record(self, data: Any, **more: Any) -> Any:
        view = await super().record(data, **more)
        if self.pauses and data.name == "send.started":
            await asyncio.sleep(self.pauses.pop())
        return view


class Lease:
    """By the worker's own clock it lasts from the last look; whoever was paused for longer finds it over."""

    owned = (0, 1, 2, 3)

    def __init__(self) -> None:
        self._until = time.monotonic() + 3 * LEASE

    def remaining_seconds(self, _: int) -> float:
        return self._until - time.monotonic()

    def is_leaving(self, _: int) -> bool:
        return False


def worker(world: World, twilio: Faulty, dice: random.Random, absence_is_proof: bool) -> Sender:
    """One that ends somewhere, or sleeps for too long, or whose lease runs out while it works."""
    journal = Paused(world.log, world.progress, Reader(world.database), source="test")
    journal.crash = Crash(dice.randint(2, 40))
    journal.pauses = [dice.choice([0.0, GRACE, GRACE + PROOF])]
    return world.sender(
        twilio=twilio,
        journal=journal,
        ownership=Lease(),
        lease_seconds=LEASE,
        grace_seconds=GRACE,
        absence_is_proof=absence_is_proof,
    )


async def work(sender: Sender, written: Written) -> None:
    """Until it is done, ends, or has lost its lease."""
    task = asyncio.create_task(sender.send(written.delivered_to(SENDER)))
    await asyncio.wait([task], timeout=4 * GRACE)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        assert isinstance(error, LeaseLost), error


async def one_contact(world: World, number: int, dice: random.Random, absence_is_proof: bool) -> tuple[str, Faulty]:
    delays = [0.0, PROOF / 2] if absence_is_proof else [0.0, PROOF / 2, 3 * GRACE, 1e6]
    thread = thread_of(number)
    twilio = Faulty(dice=dice, world=world, thread=thread, limit_seconds=TIMEOUT, listing_delay_seconds=dice.choice(delays))
    parts = [f"part {each}" for each in range(dice.randint(1, 3))]
    written = await world.answered(thread, *parts, reply=f"r{number}")
    workers = [work(worker(world, twilio, dice, absence_is_proof), written) for _ in range(2)]
    await asyncio.gather(*workers)
    last = world.sender(twilio=twilio, lease_seconds=LEASE, grace_seconds=GRACE, absence_is_proof=absence_is_proof)
    await asyncio.wait_for(last.send(written.delivered_to(SENDER)), 30)
    await asyncio.gather(*twilio.told)
    await asyncio.wait_for(last.send(written.delivered_to(SENDER)), 30)
    return thread, twilio


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("absence_is_proof", [True, False])
async def test_whatever_goes_wrong_no_part_is_accepted_twice_and_each_has_an_end(
    world: World, absence_is_proof: bool, seed: int
) -> None:
    dice = [random.Random(f"{seed}/{number}") for number in range(CONTACTS)]  # noqa: S311 - a seed repeats it
    runs = [one_contact(world, number, each, absence_is_proof) for number, each in enumerate(dice)]
    for number, (thread, twilio) in enumerate(await asyncio.gather(*runs)):
        story = [fact.name for fact in await world.facts(thread)]
        bodies = twilio.bodies()
        assert len(bodies) == len(set(bodies)), (seed, number, story, twilio.taken)
        assert bodies == sorted(bodies), (seed, number, story)
        reply = await world.reply(thread, f"r{number}")
        statuses = {part.status for part in reply.parts}
        assert statuses <= (FINISHED | {PartStatus.OPEN} if PartStatus.UNCONFIRMED in statuses else FINISHED), (
            seed,
            number,
            story,
        )
        sent = [part.text for part in reply.parts if part.status is PartStatus.SENT]
        assert set(sent) <= set(bodies), (seed, number, story)
        if absence_is_proof:
            assert PartStatus.UNCONFIRMED not in statuses, (seed, number, story)
            assert sent == bodies, (seed, number, story)
