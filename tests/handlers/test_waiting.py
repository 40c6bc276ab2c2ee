"""Many who wait on threads cost one look, and each is told of what concerns it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.decide import next_send
from handlers.waiting import wait_for_step
from handlers.watch import Watch
from projections.reader import Reader
from streams import leaving
from streams.errors import ConfigurationError, LeaseLost
from streams.events import ConversationTaken
from tests.handlers.world import World, eventually, thread_of

MANY = 100
ANA, BEA = thread_of(1), thread_of(2)
CANARY = "what the database said"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.watch.LOOK_AGAIN_SECONDS", 0.02)


@dataclass
class Threads:
    """Their versions, and how often somebody looked at how many."""

    versions: dict[str, str] = field(default_factory=dict)
    looks: list[int] = field(default_factory=list)
    failure: BaseException | None = None
    """Of the next look."""

    async def look(self, threads: Collection[str]) -> Mapping[str, str]:
        self.looks.append(len(threads))
        failure, self.failure = self.failure, None
        if failure:
            raise failure
        async with leaving.limited(0.0):
            await asyncio.sleep(0)
        return {thread: self.versions[thread] for thread in threads if thread in self.versions}

    async def looked_at_again(self) -> None:
        """By a look that began after this."""
        looks = len(self.looks)
        await eventually(lambda: len(self.looks) >= looks + 2)


@asynccontextmanager
async def seen(watch: Watch, thread: str) -> AsyncIterator[asyncio.Event]:
    """A waiter that has been told of what may have happened before."""
    async with watch.on(thread) as changed:
        await asyncio.wait_for(changed.wait(), 5)
        changed.clear()
        yield changed


class CountingReader(Reader):
    views = 0
    looks = 0

    async def view(self, partition: int, thread: str) -> Any:
        self.views += 1
        return await super().view(partition, thread)

    async def versions(self, threads: Collection[str]) -> Mapping[str, str]:
        self.looks += 1
        return await super().versions(threads)


async def test_however_many_wait_one_look_serves_all_and_wakes_whom_it_concerns(world: World) -> None:
    threads = [thread_of(number) for number in range(MANY)]
    for number, thread in enumerate(threads):
        await world.answered(thread, "Hello.", reply=f"r{number}")
    views = {thread: await world.view(thread) for thread in threads}
    steps = {thread: next_send(view.state, view.log_time_ms) for thread, view in views.items()}
    journal, reader = world.journal(), CountingReader(world.database)
    journal._reader = reader
    journal.watch = Watch(reader.versions)
    waiting = {thread: asyncio.create_task(wait_for_step(journal, thread, steps[thread], 60)) for thread in threads}
    await eventually(lambda: reader.views == MANY and reader.looks >= 2)
    looks = reader.looks
    await eventually(lambda: reader.looks >= looks + 5)
    assert reader.views == MANY, "each looked once for itself, and not again"
    await world.append(ConversationTaken(by="ana"), threads[7])
    await asyncio.wait_for(waiting.pop(threads[7]), 5)
    assert reader.views == MANY + 1
    assert not any(task.done() for task in waiting.values())
    for task in waiting.values():
        task.cancel()
    await asyncio.wait(waiting.values())


async def test_what_was_folded_before_the_first_look_is_told_too() -> None:
    threads = Threads({ANA: "1"})
    async with Watch(threads.look).on(ANA) as changed:
        await asyncio.wait_for(changed.wait(), 5)


async def test_only_a_change_of_its_own_thread_is_told_and_each_once() -> None:
    threads = Threads({ANA: "1", BEA: "1"})
    watch = Watch(threads.look)
    async with seen(watch, ANA) as of_ana, seen(watch, ANA) as also_of_ana, seen(watch, BEA) as of_bea:
        threads.versions[ANA] = "2"
        await asyncio.wait_for(asyncio.gather(of_ana.wait(), also_of_ana.wait()), 5)
        of_ana.clear()
        await threads.looked_at_again()
        assert not of_ana.is_set()
        assert not of_bea.is_set()


async def test_while_nobody_waits_nobody_looks_and_who_comes_later_is_served() -> None:
    threads = Threads({ANA: "1"})
    watch = Watch(threads.look)
    for _ in range(2):
        async with seen(watch, ANA):
            pass
        assert watch._looking is None


async def test_who_gives_its_partition_back_waits_no_longer_and_ends_the_looking_for_nobody_else(world: World) -> None:
    """Though the looking began with its wait."""
    written = await world.answered(ANA, "Hello.")
    view, journal, threads = await world.view(ANA), world.journal(), Threads({ANA: "1", BEA: "1"})
    journal.watch = Watch(threads.look)
    told, step = leaving.Leaving(), next_send(view.state, view.log_time_ms)

    async def wait_within_the_work() -> None:
        leaving.OF_THIS_WORK.set(told)
        await wait_for_step(journal, written.event.subject, step, 60)

    async with AsyncExitStack() as stack:
        first = asyncio.create_task(wait_within_the_work())
        await eventually(lambda: threads.looks)
        of_bea = await stack.enter_async_context(seen(journal.watch, BEA))
        told.tell()
        await asyncio.wait([first], timeout=5)
        assert isinstance(first.exception(), LeaseLost)
        await threads.looked_at_again()
        assert not of_bea.is_set()
        threads.versions[BEA] = "2"
        await asyncio.wait_for(of_bea.wait(), 5)


@pytest.mark.parametrize("failure", [ConfigurationError("DATABASE_URL"), ValueError(CANARY), asyncio.CancelledError()])
async def test_where_nobody_can_look_each_looks_for_itself(failure: BaseException) -> None:
    """It is told in one line without what the error says, and what changes afterwards is told as ever."""
    threads = Threads({ANA: "1"})
    async with seen(Watch(threads.look), ANA) as changed:
        with capture_logs() as lines:
            threads.failure = failure
            await asyncio.wait_for(changed.wait(), 5)
        assert [(line["event"], line["error"]) for line in lines] == [("watch.failed", type(failure).__name__)]
        assert CANARY not in str(lines)
        changed.clear()
        await threads.looked_at_again()
        assert not changed.is_set()
        threads.versions[ANA] = "2"
        await asyncio.wait_for(changed.wait(), 5)
