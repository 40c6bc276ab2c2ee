"""One piece of work per thread at a time, whoever asks for it."""

import asyncio
import gc

import pytest
from structlog.testing import capture_logs

from handlers.serial import Serial
from streams.errors import ConfigurationError


async def test_a_thread_is_worked_on_by_one_at_a_time_and_others_do_not_wait() -> None:
    serial = Serial()
    running: list[str] = []
    most = 0

    async def work(thread: str) -> None:
        nonlocal most
        async with serial.alone(thread):
            assert thread not in running
            running.append(thread)
            most = max(most, len(running))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            running.remove(thread)

    await asyncio.gather(*(work(thread) for thread in ("a", "b", "a", "c", "a", "b")))
    assert most == 3


async def test_what_is_in_work_is_left_alone_and_the_rest_is_worked_on() -> None:
    serial, worked = Serial(), list[str]()

    async def work(thread: str) -> None:
        worked.append(thread)

    async with serial.alone("a"):
        await serial.on_each_idle(["a", "b", "c"], work)
    assert worked == ["b", "c"]
    await serial.on_each_idle(["a"], work)
    assert worked == ["b", "c", "a"]


async def test_one_failure_ends_none_of_the_others_and_is_told_without_its_message() -> None:
    serial, worked = Serial(), list[str]()

    async def work(thread: str) -> None:
        if thread == "poison":
            raise ValueError("what the contact said")
        await asyncio.sleep(0.01)
        worked.append(thread)

    with capture_logs() as lines:
        await serial.on_each_idle(["poison", "b"], work)
    assert worked == ["b"]
    assert [(line["event"], line["error"]) for line in lines] == [("overlooked.failed", "ValueError")]
    assert "what the contact said" not in str(lines)


async def test_what_must_stop_the_process_does() -> None:
    async def work(_: str) -> None:
        raise ConfigurationError("X")

    with pytest.raises(ConfigurationError):
        await Serial().on_each_idle(["a"], work)


async def test_when_the_tick_is_cancelled_so_is_what_it_found() -> None:
    """A lost lease is not to leave anything running."""
    ended: list[str] = []

    async def work(thread: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(thread)

    task = asyncio.create_task(Serial().on_each_idle(["a", "b"], work))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert sorted(ended) == ["a", "b"]


async def test_one_that_takes_too_long_is_cut_off_so_that_later_ticks_look_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.serial.LONGEST_SECONDS", 0.05)
    serial, worked = Serial(), list[str]()

    async def work(thread: str) -> None:
        async with serial.alone(thread):
            if thread == "paused":
                await asyncio.Event().wait()
            worked.append(thread)

    with capture_logs() as lines:
        await asyncio.wait_for(serial.on_each_idle(["paused", "b"], work), 5)
    await serial.on_each_idle(["c"], work)
    assert worked == ["b", "c"]
    assert [line["event"] for line in lines] == ["overlooked.cut"]


async def test_threads_that_nobody_works_on_cost_nothing() -> None:
    serial = Serial()
    for number in range(1000):
        async with serial.alone(f"thread {number}"):
            pass
    gc.collect()
    assert len(serial._locks) == 0
