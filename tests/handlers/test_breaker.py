"""An outage is not poison: when everything fails, the group waits, and tries now and then."""

import asyncio

from structlog.testing import capture_logs

from handlers.breaker import FAILURES_IN_A_ROW, Breaker


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
        for _ in range(FAILURES_IN_A_ROW - 1):
            breaker.failed("x")
        assert not breaker.is_open
        breaker.succeeded()
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed("x")
    assert breaker.is_open
    assert not await is_admitted_at_once(breaker)


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


async def test_one_success_lets_all_who_wait_go_on() -> None:
    breaker = Breaker("test", pause_seconds=0.05)
    breaker.trip("x")

    async def enter() -> None:
        await breaker.admit()
        breaker.succeeded()

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
        for _ in range(FAILURES_IN_A_ROW * 2):
            breaker.failed("http_500")
        breaker.succeeded()
        breaker.succeeded()
    assert [(line["event"], line["log_level"]) for line in lines] == [("group.paused", "error"), ("group.resumed", "warning")]
    assert lines[0]["error"] == "http_500"
