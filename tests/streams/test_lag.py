"""How far a reader is behind, on every engine."""

from streams.engines.memory import MemoryEventLog
from streams.lag import COUNTED, lag_after, lag_of_group
from streams.partitions import START
from tests.streams.conftest import PARTITIONS, Engine, TickingClock
from tests.streams.test_conformance import HERE, event


async def test_a_group_that_finished_everything_is_not_behind(engine: Engine) -> None:
    place = await engine.log.append(event())
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: place.position}, {HERE: 1})
    assert {(lag.events, lag.seconds) for lag in (await lag_of_group(engine.log, "responder")).values()} == {(0, 0.0)}


async def test_a_group_without_marks_is_as_far_behind_as_the_first_entry_is_old(engine: Engine) -> None:
    await engine.log.append(event())
    lags = await lag_of_group(engine.log, "responder")
    assert (lags[HERE].position, lags[HERE].events) == (START, None)
    assert lags[HERE].seconds > 0
    assert {lag.seconds for partition, lag in lags.items() if partition != HERE} == {0.0}
    assert await engine.log.marks("responder") == {}


async def test_a_lag_counts_what_lies_after_a_position_kept_elsewhere(engine: Engine) -> None:
    places = [await engine.log.append(event(body=str(n))) for n in range(5)]
    positions = dict.fromkeys(range(PARTITIONS), START) | {HERE: places[1].position}
    lags = await lag_after(engine.log, positions)
    assert lags[HERE].events == 3
    assert {lag.events for partition, lag in lags.items() if partition != HERE} == {0}


async def test_a_lag_in_seconds_is_the_age_of_the_oldest_entry_that_waits() -> None:
    clock = TickingClock()
    log = MemoryEventLog(PARTITIONS, clock)
    first = await log.append(event())
    clock.now_ms += 5_000
    await log.append(event())
    clock.now_ms += 2_500
    assert (await lag_after(log, {HERE: START}))[HERE].seconds == 7.5
    assert (await lag_after(log, {HERE: first.position}))[HERE].seconds == 2.5


async def test_counting_has_an_end() -> None:
    log = MemoryEventLog(PARTITIONS, TickingClock())
    for _ in range(COUNTED + 5):
        await log.append(event())
    assert (await lag_after(log, {HERE: START}))[HERE].events == COUNTED
