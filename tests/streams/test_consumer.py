"""What a consumer group promises, on every engine; the ownership is held by the test."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from streams import reader
from streams.consumer import Delivery, GroupConsumer
from streams.engines.memory import MemoryOwnership
from streams.envelope import encode, new_event
from streams.errors import LogUnavailable, NewerEvent, UnsafeLog
from streams.events import ClockTicked, MessageReceived
from streams.partitions import START, partition_of, partition_subject
from streams.retry import RetryPolicy
from tests.streams.conftest import PARTITIONS, Engine, eventually

QUICK = RetryPolicy(base_seconds=0.001, max_seconds=0.01)
NAMES = frozenset({"message.received"})


def thread_in(partition: int, number: int = 0) -> str:
    found = (f"thread {number}.{n}" for n in range(1000))
    return next(thread for thread in found if partition_of(thread, PARTITIONS) == partition)


async def write(engine: Engine, thread: str, *bodies: str) -> list[int]:
    positions = []
    for body in bodies:
        data = MessageReceived(sid=body, kind="text", body=body, form={})
        positions.append((await engine.log.append(new_event(data, subject=thread, source="test"))).position)
    return positions


def body_of(delivery: Delivery) -> str:
    assert isinstance(delivery.event.data, MessageReceived)
    return delivery.event.data.body


@dataclass
class Recorder:
    """A handler that tells what it saw, holds what it is told to hold, and fails where it is told to fail."""

    started: list[Delivery] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    failures: dict[str, list[BaseException]] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    most_running: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, delivery: Delivery) -> None:
        body = body_of(delivery)
        self.started.append(delivery)
        self.running[delivery.event.subject] += 1
        assert self.running[delivery.event.subject] == 1, "a thread ran twice at once"
        self.most_running = max(self.most_running, self.running.total())
        try:
            while body in self.held:
                self.changed.clear()
                await self.changed.wait()
            if self.failures.get(body):
                raise self.failures[body].pop(0)
            self.finished.append(body)
        finally:
            self.running[delivery.event.subject] -= 1

    def release(self, *bodies: str) -> None:
        self.held -= set(bodies)
        self.changed.set()

    def bodies_started(self) -> list[str]:
        return [body_of(delivery) for delivery in self.started]


@dataclass
class Group:
    consumer: GroupConsumer
    ownership: MemoryOwnership
    fatal: list[BaseException]


Make = Callable[..., GroupConsumer]


@asynccontextmanager
async def group(
    engine: Engine, handler: Recorder, *, owned: tuple[int, ...] = tuple(range(PARTITIONS)), **options: object
) -> AsyncIterator[Group]:
    ownership, fatal = MemoryOwnership(), list[BaseException]()
    consumer = GroupConsumer(
        engine.log,
        ownership,
        group="responder",
        names=NAMES,
        on_fatal=fatal.append,
        **{"drain_seconds": 0.05, "retry": QUICK, **options},  # type: ignore[arg-type]
    )
    await consumer.start(handler)
    ownership.gain(*owned)
    yield Group(consumer, ownership, fatal)
    await consumer.stop()


@pytest.fixture
def blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that finds nothing lasts for ever, unless somebody ends it."""
    monkeypatch.setattr(reader, "WAIT_SECONDS", 3600.0)


async def mark_of(engine: Engine, partition: int) -> int:
    return (await engine.log.committed("responder"))[partition].position


async def mark_becomes(engine: Engine, partition: int, position: int) -> None:
    async def has_become() -> bool:
        return await mark_of(engine, partition) == position

    await eventually(has_become)


# ----------------------------------------------------------------------------------------------------------- order


async def test_a_thread_is_handled_in_order_and_never_twice_at_once(engine: Engine) -> None:
    bodies = [str(n) for n in range(40)]
    await write(engine, thread_in(0), *bodies)
    handler = Recorder()
    async with group(engine, handler):
        await eventually(lambda: len(handler.finished) == 40)
    assert handler.finished == bodies


async def test_a_thread_that_waits_does_not_hold_up_its_neighbours(engine: Engine) -> None:
    handler = Recorder(held={"slow"})
    async with group(engine, handler):
        await write(engine, thread_in(0, 1), "slow", "after slow")
        await write(engine, thread_in(0, 2), "quick")
        await eventually(lambda: "quick" in handler.finished)
        assert handler.bodies_started().count("after slow") == 0
        handler.release("slow")
        await eventually(lambda: handler.finished == ["quick", "slow", "after slow"])


async def test_what_was_there_before_the_group_is_delivered(engine: Engine) -> None:
    await write(engine, thread_in(1), "early")
    handler = Recorder()
    async with group(engine, handler):
        await write(engine, thread_in(1), "late")
        await eventually(lambda: handler.finished == ["early", "late"])


async def test_partitions_that_are_not_owned_are_left_alone(engine: Engine) -> None:
    handler = Recorder()
    async with group(engine, handler, owned=(0,)):
        await write(engine, thread_in(1), "not ours")
        await write(engine, thread_in(0), "ours")
        await eventually(lambda: handler.finished == ["ours"])


async def test_a_partition_gained_while_a_read_blocks_is_served_at_once(engine: Engine, blocking: None) -> None:
    await write(engine, thread_in(1), "waiting")
    handler = Recorder()
    async with group(engine, handler, owned=(0,)) as running:
        await eventually(lambda: running.consumer.lag == {0: 0})
        running.ownership.gain(1)
        await eventually(lambda: handler.finished == ["waiting"])


# --------------------------------------------------------------------------------------------------------- passing over


async def test_events_of_no_use_are_passed_over_and_the_mark_passes_them_too(engine: Engine) -> None:
    tick = new_event(ClockTicked(nominal="2026-01-01T00:00:00Z"), subject=partition_subject(0), source="test")
    handler = Recorder()
    async with group(engine, handler):
        for _ in range(20):
            last = await engine.log.append(tick)
        await mark_becomes(engine, 0, last.position)
    assert handler.started == []


async def test_what_cannot_be_decoded_is_passed_over(engine: Engine) -> None:
    await engine.append_bytes(0, b"nonsense")
    await engine.append_bytes(0, b'{"specversion":"1.0","type":"prosa.message.received.v1","data":{}}')
    handler = Recorder()
    async with group(engine, handler):
        [position] = await write(engine, thread_in(0), "after")
        await mark_becomes(engine, 0, position)
    assert handler.finished == ["after"]


async def test_a_newer_event_makes_the_process_decline_the_partition_and_stops_the_mark_before_it(engine: Engine) -> None:
    newer = encode(new_event(MessageReceived(sid="1", kind="text", body="", form={}), subject=thread_in(0), source="test"))
    handler = Recorder()
    async with group(engine, handler) as running:
        [before] = await write(engine, thread_in(0), "before")
        await eventually(lambda: handler.finished == ["before"])
        await engine.append_bytes(0, newer.replace(b"received.v1", b"received.v9"))
        await write(engine, thread_in(0), "after")
        await eventually(lambda: 0 in running.ownership.declined and 0 not in running.ownership.owned)
        assert isinstance(running.ownership.declined[0], NewerEvent)
        await write(engine, thread_in(1), "elsewhere")
        await eventually(lambda: "elsewhere" in handler.finished)
    assert "after" not in handler.bodies_started()
    assert await mark_of(engine, 0) == before


# ------------------------------------------------------------------------------------------------------------- marks


async def test_the_mark_stands_before_the_oldest_unfinished_event(engine: Engine) -> None:
    handler = Recorder(held={"second"})
    async with group(engine, handler):
        [first] = await write(engine, thread_in(0, 1), "first")
        await write(engine, thread_in(0, 2), "second")
        [third] = await write(engine, thread_in(0, 3), "third")
        await eventually(lambda: handler.finished == ["first", "third"])
        await mark_becomes(engine, 0, first)
        handler.release("second")
        await mark_becomes(engine, 0, third)


async def test_the_mark_shows_the_true_lag(engine: Engine) -> None:
    handler = Recorder(held={"second"})
    async with group(engine, handler):
        [first] = await write(engine, thread_in(0, 1), "first")
        await write(engine, thread_in(0, 2), "second")
        await write(engine, thread_in(0, 3), "third")
        await mark_becomes(engine, 0, first)
        committed = (await engine.log.committed("responder"))[0]
        assert (committed.lag, committed.entries) == (2, 1)


async def test_cancelled_work_holds_the_mark_and_comes_again(engine: Engine) -> None:
    handler = Recorder(held={"second"})
    [first] = await write(engine, thread_in(0), "first")
    await write(engine, thread_in(0), "second", "third")
    async with group(engine, handler) as running:
        await eventually(lambda: handler.bodies_started() == ["first", "second"])
        await mark_becomes(engine, 0, first)
        await running.ownership.lose(0)
        assert handler.running.total() == 0
        assert await mark_of(engine, 0) == first
        handler.release("second")
        running.ownership.gain(0)
        await eventually(lambda: handler.finished == ["first", "second", "third"])


async def test_nothing_is_committed_for_a_partition_that_was_lost(engine: Engine) -> None:
    handler = Recorder(held={"first"})
    async with group(engine, handler) as running:
        await write(engine, thread_in(0), "first")
        await eventually(lambda: handler.bodies_started() == ["first"])
        await running.ownership.lose(0)
    assert await mark_of(engine, 0) == START


async def test_nothing_is_committed_or_begun_once_the_lease_is_over_even_before_that_is_told(engine: Engine) -> None:
    handler = Recorder(held={"first"})
    async with group(engine, handler) as running:
        await write(engine, thread_in(0), "first", "second")
        await eventually(lambda: handler.bodies_started() == ["first"])
        running.ownership._owned.pop(0)
        handler.release("first")
        await eventually(lambda: handler.finished == ["first"])
        await running.consumer._marks.commit()
        assert await mark_of(engine, 0) == START
        assert handler.bodies_started() == ["first"]
        await running.ownership.lose(0)


async def test_a_graceful_stop_finishes_what_runs_and_commits_it(engine: Engine) -> None:
    handler = Recorder(held={"first"})
    async with group(engine, handler, drain_seconds=10) as running:
        [first, _] = await write(engine, thread_in(0), "first", "second")
        await eventually(lambda: handler.bodies_started() == ["first"])
        giving_back = asyncio.create_task(running.ownership.give_back(0))
        assert not (await asyncio.wait({giving_back}, timeout=0.05))[0]
        handler.release("first")
        await giving_back
        assert handler.finished == ["first"]
        assert await mark_of(engine, 0) == first


async def test_a_graceful_stop_cancels_what_does_not_finish_in_time(engine: Engine) -> None:
    handler = Recorder(held={"stuck"})
    async with group(engine, handler, drain_seconds=0.05) as running:
        [done] = await write(engine, thread_in(0, 1), "done")
        await write(engine, thread_in(0, 2), "stuck")
        await eventually(lambda: len(handler.started) == 2)
        await running.ownership.give_back(0)
        assert handler.running.total() == 0
    assert await mark_of(engine, 0) == done


async def test_a_stop_does_not_wait_out_the_pause_before_a_retry(engine: Engine) -> None:
    handler = Recorder(failures={"bad": [ValueError() for _ in range(9)]})
    async with group(engine, handler, drain_seconds=60, retry=RetryPolicy(base_seconds=60, max_seconds=60)) as running:
        await write(engine, thread_in(0), "bad")
        await eventually(lambda: len(handler.started) == 1)
        await asyncio.wait_for(running.ownership.give_back(0), 5)
    assert await mark_of(engine, 0) == START


# ------------------------------------------------------------------------------------------------------------ bounds


async def test_a_partition_is_not_read_beyond_its_bound_and_read_on_when_there_is_room(engine: Engine, blocking: None) -> None:
    bodies = [str(n) for n in range(40)]
    for n, body in enumerate(bodies):
        await write(engine, thread_in(0, n), body)
    handler = Recorder(held=set(bodies))
    async with group(engine, handler, max_in_flight=8) as running:
        await eventually(lambda: len(handler.started) == 8)
        await write(engine, thread_in(1), "elsewhere")
        await eventually(lambda: "elsewhere" in handler.finished)
        assert running.consumer.in_flight == 8
        handler.release(*bodies)
        await eventually(lambda: len(handler.finished) == 41)
    assert sorted(handler.bodies_started()) == sorted([*bodies, "elsewhere"])
    assert handler.most_running <= 9


async def test_a_flood_on_one_thread_does_not_fill_the_window(engine: Engine) -> None:
    flood = [f"flood {n}" for n in range(100)]
    positions = await write(engine, thread_in(0, 1), *flood)
    handler = Recorder(held={"flood 0", "flood 50"})
    async with group(engine, handler, max_in_flight=16, max_per_thread=4) as running:
        await eventually(lambda: handler.bodies_started() == ["flood 0"])
        [last] = await write(engine, thread_in(0, 2), "neighbour")
        await eventually(lambda: handler.finished == ["neighbour"])
        assert running.consumer.in_flight == 4
        assert await mark_of(engine, 0) == START
        handler.release("flood 0")
        await mark_becomes(engine, 0, positions[49])
        handler.release("flood 50")
        await mark_becomes(engine, 0, last)
    assert handler.finished == ["neighbour", *flood]


async def test_what_comes_while_a_flood_waits_does_not_overtake_it(engine: Engine) -> None:
    flood = [f"flood {n}" for n in range(10)]
    handler = Recorder(held={"flood 0", "flood 2"})
    async with group(engine, handler, max_per_thread=4):
        await write(engine, thread_in(0), *flood)
        await eventually(lambda: handler.bodies_started() == ["flood 0"])
        handler.release("flood 0")
        await eventually(lambda: handler.bodies_started() == ["flood 0", "flood 1", "flood 2"])
        await write(engine, thread_in(0), "late")
        await write(engine, thread_in(0, 1), "neighbour")
        await eventually(lambda: "neighbour" in handler.finished)
        handler.release("flood 2")
        await eventually(lambda: len(handler.finished) == 12)
    assert [body for body in handler.finished if body != "neighbour"] == [*flood, "late"]


async def test_a_flood_of_two_threads_through_each_other_stays_in_order(engine: Engine) -> None:
    for n in range(60):
        await write(engine, thread_in(0, n % 2), f"{n % 2}:{n}")
    handler = Recorder()
    async with group(engine, handler, max_in_flight=6, max_per_thread=2):
        await eventually(lambda: len(handler.finished) == 60)
    for thread in ("0", "1"):
        own = [body for body in handler.finished if body.startswith(thread)]
        assert own == [f"{thread}:{n}" for n in range(60) if n % 2 == int(thread)]
    assert len(handler.started) == 60


# ----------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("error", [LogUnavailable("x"), ValueError("x"), asyncio.CancelledError()])
async def test_a_failing_event_is_tried_again_in_place_and_only_its_thread_waits(engine: Engine, error: BaseException) -> None:
    handler = Recorder(failures={"bad": [error, error, error]})
    async with group(engine, handler) as running:
        [_, last] = await write(engine, thread_in(0), "bad", "after")
        await mark_becomes(engine, 0, last)
        assert running.fatal == []
    assert handler.bodies_started() == ["bad"] * 4 + ["after"]
    assert handler.finished == ["bad", "after"]


async def test_a_failure_is_logged_by_class_and_never_by_message(engine: Engine) -> None:
    handler = Recorder(failures={"bad": [ValueError("+5511999990000 wrote this")]})
    with capture_logs() as logs:
        async with group(engine, handler):
            await write(engine, thread_in(0), "bad")
            await eventually(lambda: handler.finished == ["bad"])
    [line] = [line for line in logs if line["event"] == "handler.failed"]
    assert line["error"] == "ValueError"
    assert "wrote this" not in str(logs)


async def test_a_fatal_error_is_told_and_its_event_stays_unfinished(engine: Engine) -> None:
    handler = Recorder(failures={"bad": [UnsafeLog("x")]})
    async with group(engine, handler) as running:
        await write(engine, thread_in(0), "bad", "after")
        await eventually(lambda: len(running.fatal) == 1)
        assert isinstance(running.fatal[0], UnsafeLog)
    assert handler.bodies_started() == ["bad"]
    assert await mark_of(engine, 0) == START


async def test_a_handler_that_finds_a_newer_event_declines_the_partition(engine: Engine) -> None:
    handler = Recorder(failures={"bad": [NewerEvent("message.received.v9")]})
    async with group(engine, handler) as running:
        await write(engine, thread_in(0), "bad")
        await eventually(lambda: 0 in running.ownership.declined and 0 not in running.ownership.owned)
        assert running.fatal == []


# ----------------------------------------------------------------------------------------------------------- takeover


async def test_nothing_acts_before_the_head_as_it_was_when_the_partition_was_gained(engine: Engine) -> None:
    [_, second] = await write(engine, thread_in(0), "first", "second")
    handler = Recorder()
    async with group(engine, handler):
        await eventually(lambda: len(handler.finished) == 2)
        [third] = await write(engine, thread_in(0), "third")
        await eventually(lambda: len(handler.finished) == 3)
    assert [delivery.caught_up_to for delivery in handler.started] == [second, second, third]


async def lose_and_gain(running: Group, handler: Recorder, times: int, *, is_graceful: bool) -> None:
    for _ in range(times):
        seen = len(handler.started)
        await running.ownership.lose(0)
        running.ownership.gain(0, is_graceful=is_graceful)
        await eventually(lambda: len(handler.started) > seen)  # noqa: B023 - awaited at once


async def test_after_three_ungraceful_takeovers_without_progress_events_run_one_at_a_time(engine: Engine) -> None:
    bodies = [f"in work {n}" for n in range(5)]
    for n, body in enumerate(bodies):
        await write(engine, thread_in(0, n), body)
    handler = Recorder(held=set(bodies))
    async with group(engine, handler, owned=(0,)) as running:
        await eventually(lambda: len(handler.started) == 5)
        await lose_and_gain(running, handler, 2, is_graceful=False)
        await eventually(lambda: handler.running.total() == 5)
        assert not any(delivery.isolated for delivery in handler.started)
        handler.started.clear()
        await lose_and_gain(running, handler, 1, is_graceful=False)
        await write(engine, thread_in(0, 9), "newer")
        for n, body in enumerate(bodies):
            await eventually(lambda: len(handler.started) == n + 1)  # noqa: B023 - awaited at once
            assert handler.running.total() == 1
            handler.release(body)
        await eventually(lambda: "newer" in handler.finished)
    assert [delivery.isolated for delivery in handler.started] == [True] * 5 + [False]
    assert handler.bodies_started() == [*bodies, "newer"]


async def test_a_delivery_tells_whether_the_owner_before_gave_its_partition_back(engine: Engine) -> None:
    await write(engine, thread_in(0), "in work")
    handler = Recorder(held={"in work"})
    async with group(engine, handler, owned=(0,)) as running:
        await eventually(lambda: len(handler.started) == 1)
        await lose_and_gain(running, handler, 3, is_graceful=False)
        await lose_and_gain(running, handler, 1, is_graceful=True)
        await lose_and_gain(running, handler, 1, is_graceful=False)
    told = [(delivery.isolated, delivery.is_handed_over) for delivery in handler.started]
    assert told[1:] == [(False, False), (False, False), (True, False), (True, True), (True, False)]


async def test_graceful_takeovers_do_not_isolate(engine: Engine) -> None:
    await write(engine, thread_in(0, 1), "one")
    await write(engine, thread_in(0, 2), "two")
    handler = Recorder(held={"one", "two"})
    async with group(engine, handler, owned=(0,)) as running:
        await eventually(lambda: len(handler.started) == 2)
        await lose_and_gain(running, handler, 4, is_graceful=True)
        await eventually(lambda: handler.running.total() == 2)
    assert not any(delivery.isolated for delivery in handler.started)


async def test_the_group_shows_a_sign_of_life_while_it_waits(engine: Engine) -> None:
    async with group(engine, Recorder()) as running:
        await eventually(lambda: running.consumer.seconds_since_read > 0.2)
        await eventually(lambda: running.consumer.seconds_since_read < 0.2)


async def test_the_silence_of_a_group_counts_from_the_first_partition_that_it_gained(engine: Engine) -> None:
    """A worker that has begun, or was without partitions, is not taken for one that does not read."""
    began = time.monotonic()
    async with group(engine, Recorder(), owned=(0,)) as running:
        assert running.consumer.seconds_since_read <= time.monotonic() - began
        await eventually(lambda: running.consumer.seconds_since_read > 0.2)
        running.ownership.gain(1)
        assert running.consumer.seconds_since_read > 0.2
