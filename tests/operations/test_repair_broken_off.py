"""A repair that breaks off, by a full server, the network or a crash, has changed nothing or is finished by the next one."""

from collections.abc import Collection, Sequence

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from operations.errors import ActRefused
from operations.repair import Repaired
from operations.repair_findings import standing
from operations.repair_system import require_room
from streams import crash_points
from streams.engines.redis_keys import rewriting_key
from streams.engines.redis_rewrite import Entry, NewGeneration, Written
from streams.errors import CheckpointAhead, LeaseLost, LogUnavailable
from tests.operations.damaged_log import DamagedLog
from tests.operations.damages import HERE, Damage, everything, tail, tail_of_one
from tests.projections.read_model import PARTITIONS


async def test_a_server_that_is_full_in_the_middle_of_it_gets_its_room_back(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await tail(damaged)
    await damaged.lose_tail(HERE, keep=1)

    def fill(point: str) -> None:
        if point == "repair.writing":
            with Redis.from_url(damaged.url) as client:
                client.config_set("maxmemory", "1")

    crash_points.on_reached = fill
    try:
        with pytest.raises(LogUnavailable, match="OOM"):
            await damaged.repair()
    finally:
        await damaged.redis.config_set("maxmemory", "0")
    crash_points.on_reached = lambda _: None
    assert not await damaged.redis.exists(*(rewriting_key(partition, 2) for partition in range(PARTITIONS)))
    assert await damaged.repair()
    await damaged.assert_whole()


@pytest.mark.parametrize("error", [OSError("reset"), TimeoutError()], ids=["connection", "limit"])
async def test_what_the_network_broke_off_is_cleared(
    damaged: DamagedLog, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    await damaged.write(2)
    await damaged.project()
    await tail_of_one(damaged)
    await damaged.lose_tail(HERE, keep=1)
    write = NewGeneration.write

    async def break_off(generation: NewGeneration, partition: int, entries: Collection[Entry]) -> None:
        await write(generation, partition, entries)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(NewGeneration, "write", break_off)
        with pytest.raises(LogUnavailable):
            await damaged.repair()
    assert not await damaged.redis.exists(*(rewriting_key(partition, 2) for partition in range(PARTITIONS)))


async def test_a_switch_that_the_server_makes_after_its_generation_was_cleared_changes_nothing(
    damaged: DamagedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent to a server that hung, and given up: what it finds at last is not what was written."""
    await damaged.write(2)
    await damaged.project()
    await tail_of_one(damaged)
    await damaged.lose_tail(HERE, keep=1)
    await damaged.write(1)
    switch, clear = NewGeneration.switch, NewGeneration.clear
    late, answers = list[tuple[NewGeneration, str, Sequence[Written]]](), list[str]()

    async def unheard(generation: NewGeneration, member: str, written: Sequence[Written]) -> str:
        late.append((generation, member, written))
        raise RedisTimeoutError

    async def clear_first(generation: NewGeneration) -> None:
        await clear(generation)
        answers.extend([await switch(*each) for each in late])

    with monkeypatch.context() as patched:
        patched.setattr(NewGeneration, "switch", unheard)
        patched.setattr(NewGeneration, "clear", clear_first)
        with pytest.raises(LogUnavailable):
            await damaged.repair()
    assert answers == ["altered"]
    assert (await standing(damaged.system)).epoch == 1
    assert await damaged.repair()
    await damaged.assert_whole()


async def test_what_another_repair_has_cleared_is_not_switched_to(damaged: DamagedLog) -> None:
    """It was paused for longer than its leases, woke up, and cleaned up after itself."""
    await damaged.write(2)
    await damaged.project()
    await tail_of_one(damaged)
    await damaged.lose_tail(HERE, keep=1)

    def clean_up(point: str) -> None:
        if point == "repair.written":
            with Redis.from_url(damaged.url) as client:
                client.delete(rewriting_key(0, 2))
                client.xadd(rewriting_key(0, 2), {"event": "written by the other"})

    crash_points.on_reached = clean_up
    with pytest.raises(LeaseLost, match="run it again"):
        await damaged.repair()
    crash_points.on_reached = lambda _: None
    assert (await standing(damaged.system)).epoch == 1
    assert await damaged.repair()
    await damaged.assert_whole()


async def test_a_server_without_room_is_told_before_anything_is_written(damaged: DamagedLog) -> None:
    await damaged.redis.config_set("maxmemory", "100mb")
    try:
        await require_room(damaged.system, 10)
        with pytest.raises(ActRefused, match="maxmemory"):
            await require_room(damaged.system, 1_000_000)
    finally:
        await damaged.redis.config_set("maxmemory", "0")


class Crash(BaseException):
    """The process ends here."""


POINTS = [point for point in crash_points.POINTS if point.startswith("repair.")]


async def ended_after_the_switch(damaged: DamagedLog) -> None:
    """The new generation is the current one, the checkpoints are of the one before."""

    def crash(reached: str) -> None:
        if reached == "repair.switched":
            raise Crash(reached)

    await damaged.write(4)
    await damaged.project()
    await tail(damaged)
    crash_points.on_reached = crash
    with pytest.raises(Crash):
        await damaged.repair()
    crash_points.on_reached = lambda _: None
    await damaged.log.start()
    with pytest.raises(CheckpointAhead, match="the checkpoint is of epoch 1, the log of epoch 2"):
        await damaged.project()


async def test_a_generation_that_is_switched_to_is_not_written_twice(damaged: DamagedLog) -> None:
    await ended_after_the_switch(damaged)
    assert await damaged.repair() == Repaired(epoch=2, before=2)
    await damaged.assert_whole()


async def test_a_generation_that_lost_its_tail_before_it_was_finished_is_written_anew(damaged: DamagedLog) -> None:
    await ended_after_the_switch(damaged)
    await damaged.lose_tail(HERE, keep=3)
    await damaged.write(1)
    repaired = await damaged.repair()
    assert repaired
    assert (repaired.epoch, repaired.before) == (3, 2)
    await damaged.assert_whole()


@pytest.mark.parametrize("occurrence", [1, 2, 5])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("damage", [tail, everything])
async def test_a_repair_that_ended_anywhere_is_finished_by_the_next_one(
    damaged: DamagedLog, damage: Damage, point: str, occurrence: int
) -> None:
    await damaged.write(4)
    await damaged.project()
    await damage(damaged)
    await damaged.write(1)
    seen: list[str] = []

    def crash(reached: str) -> None:
        seen.append(reached)
        if seen.count(point) == occurrence:
            crash_points.on_reached = lambda _: None
            raise Crash(point)

    crash_points.on_reached = crash
    try:
        await damaged.repair()
    except Crash:
        await damaged.log.start()
    crash_points.on_reached = lambda _: None
    await damaged.write(1)
    await damaged.repair()
    await damaged.write(1)
    await damaged.assert_whole()
