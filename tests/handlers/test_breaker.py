"""An outage is not poison: when everything fails, the group waits, and tries now and then."""

import asyncio
from dataclasses import dataclass

from structlog.testing import capture_logs

from handlers.breaker import FAILURES_IN_A_ROW, FIRST_PAUSE_SECONDS, THREADS_IN_A_ROW, Breaker

MANY = [f"thread {number}" for number in range(THREADS_IN_A_ROW)]


def fail(breaker: Breaker, times: int, threads: list[str] = MANY, error: str = "x") -> None:
    for number in range(times):
        breaker.failed(error, f"event {number}", threads[number % len(threads)])


async def is_admitted_at_once(breaker: Breaker) -> bool:
    task = asyncio.create_task(breaker.admit())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    is_done = task.done()
    task.cancel()
    return is_done


async def test_while_things_work_everybody_passes() -> None:
    breaker = Breaker("test", pause_seconds=60)
    assert await breaker.admit() is False


async def test_so_many_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    breaker = Breaker("test", pause_seconds=60)
    for _ in range(3):
        fail(breaker, FAILURES_IN_A_ROW - 1)
        assert not breaker.is_open
        breaker.succeeded("another")
    fail(breaker, FAILURES_IN_A_ROW)
    assert breaker.is_open
    assert not await is_admitted_at_once(breaker)


async def test_too_few_threads_that_fail_pause_nobody_else() -> None:
    """They may have a poison each, and their neighbours are not to be late for it."""
    breaker = Breaker("test", pause_seconds=60)
    fail(breaker, 10 * FAILURES_IN_A_ROW, MANY[:-1])
    assert await is_admitted_at_once(breaker)


async def test_while_open_one_try_at_a_time_is_let_through() -> None:
    breaker = Breaker("test", pause_seconds=0.05)
    breaker.trip("x")
    loop = asyncio.get_running_loop()
    started = loop.time()
    admitted: list[float] = []

    async def enter() -> None:
        assert await breaker.admit() is True
        admitted.append(loop.time() - started)

    await asyncio.gather(*(enter() for _ in range(4)))
    assert all(later - earlier >= 0.045 for earlier, later in zip([0.0, *admitted], admitted, strict=False))


async def test_the_pauses_of_an_outage_grow_and_begin_short_again_with_the_next(monkeypatch: object) -> None:
    breaker, slept = Breaker("test", pause_seconds=30), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    for _ in range(2):
        breaker.trip("x")
        with_sleep = asyncio.sleep
        asyncio.sleep = sleep  # type: ignore[assignment]
        try:
            for _ in range(7):
                await breaker.admit()
        finally:
            asyncio.sleep = with_sleep
        breaker.succeeded("another")
    assert slept == [FIRST_PAUSE_SECONDS * each for each in (1, 2, 4, 8, 16, 30, 30)] * 2


async def test_one_success_lets_all_who_wait_go_on() -> None:
    breaker = Breaker("test", pause_seconds=0.05)
    breaker.trip("x")

    async def enter() -> None:
        await breaker.admit()
        breaker.succeeded("any")

    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*(enter() for _ in range(50)))
    assert loop.time() - started < 1.0
    assert await breaker.admit() is False


async def test_who_is_cancelled_while_waiting_holds_nobody_up() -> None:
    breaker = Breaker("test", pause_seconds=0.05)
    breaker.trip("x")
    first, second = asyncio.create_task(breaker.admit()), asyncio.create_task(breaker.admit())
    await asyncio.sleep(0)
    first.cancel()
    assert await asyncio.wait_for(second, 1.0) is True


async def test_pausing_and_resuming_are_told_once() -> None:
    breaker = Breaker("test", pause_seconds=60)
    with capture_logs() as lines:
        fail(breaker, FAILURES_IN_A_ROW * 2, error="http_500")
        breaker.succeeded("any")
        breaker.succeeded("any")
    assert [(line["event"], line["log_level"]) for line in lines] == [("group.paused", "error"), ("group.resumed", "warning")]
    assert lines[0]["error"] == "http_500"


# ------------------------------------------------------------------------------------------------- outage or poison


@dataclass
class Clock:
    """A monotonic clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def try_in_vain(breaker: Breaker, event: str) -> None:
    breaker.failed("x", event, "its thread", breaker.begin())


async def test_however_often_one_fails_alone_it_is_no_poison() -> None:
    breaker = Breaker("test", pause_seconds=60)
    breaker.succeeded("before it failed")
    for _ in range(1000):
        try_in_vain(breaker, "one")
        assert not breaker.is_poison("one", 1)


async def test_one_that_fails_again_and_again_while_others_succeed_is_poison() -> None:
    breaker = Breaker("test", pause_seconds=60)
    try_in_vain(breaker, "one")
    for number in range(3):
        assert not breaker.is_poison("one", 3), number
        breaker.succeeded("another")
        try_in_vain(breaker, "one")
    assert breaker.is_poison("one", 3)


async def test_the_success_that_ends_an_outage_condemns_nobody_who_was_at_it() -> None:
    """Their tries began before it, or had failed before it."""
    breaker = Breaker("test", pause_seconds=60)
    for _ in range(9):
        try_in_vain(breaker, "one")
    begun = breaker.begin()
    breaker.succeeded("another")
    breaker.failed("x", "one", "its thread", begun)
    breaker.succeeded("another")
    assert not breaker.is_poison("one", 1)


async def test_a_success_during_a_try_witnesses_neither_that_try_nor_the_next() -> None:
    """Nothing succeeded between the failure of that try and the beginning of the next."""
    breaker = Breaker("test", pause_seconds=60)
    try_in_vain(breaker, "one")
    begun = breaker.begin()
    breaker.succeeded("another")
    breaker.failed("x", "one", "its thread", begun)
    try_in_vain(breaker, "one")
    assert not breaker.is_poison("one", 1)
    breaker.succeeded("another")
    try_in_vain(breaker, "one")
    assert breaker.is_poison("one", 1)


async def test_many_successes_between_two_tries_witness_one() -> None:
    breaker = Breaker("test", pause_seconds=60)
    try_in_vain(breaker, "one")
    for _ in range(100):
        breaker.succeeded("another")
    try_in_vain(breaker, "one")
    assert breaker.is_poison("one", 1)
    assert not breaker.is_poison("one", 2)


async def test_what_speaks_of_the_account_is_no_events_own_fault_whoever_succeeds_meanwhile() -> None:
    """Such as a 429, or no connection to Twilio."""
    breaker = Breaker("test", pause_seconds=60)
    for _ in range(5):
        breaker.failed("too many requests", "one", "its thread")
        breaker.succeeded("another")
    assert not breaker.is_poison("one", 1)


async def test_a_success_of_its_own_makes_it_innocent() -> None:
    breaker = Breaker("test", pause_seconds=60)
    for _ in range(5):
        try_in_vain(breaker, "one")
        breaker.succeeded("another")
    breaker.succeeded("one")
    try_in_vain(breaker, "one")
    assert not breaker.is_poison("one", 1)


async def test_what_has_failed_for_longer_than_anybody_waits_is_given_up_though_nothing_works() -> None:
    clock = Clock()
    breaker = Breaker("test", pause_seconds=60, patience_seconds=3600, clock=clock)
    try_in_vain(breaker, "one")
    clock.now += 3599
    assert not breaker.is_poison("one", 5)
    clock.now += 1
    assert breaker.is_poison("one", 5)
    breaker.forget("one")
    try_in_vain(breaker, "one")
    assert not breaker.is_poison("one", 5)


async def test_while_the_group_is_paused_nothing_is_poison() -> None:
    clock = Clock()
    breaker = Breaker("test", pause_seconds=60, patience_seconds=3600, clock=clock)
    try_in_vain(breaker, "one")
    clock.now += 3601
    breaker.trip("x")
    assert not breaker.is_poison("one", 1)
