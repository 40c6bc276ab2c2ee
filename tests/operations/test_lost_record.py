"""Redis lost `prosa:meta`, or has an older one, beside streams of a later generation: nothing acknowledged is destroyed."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis import Redis
from structlog.testing import capture_logs

from operations.repair_findings import standing
from streams import crash_points
from streams.engines import redis_opening
from streams.engines.redis_generations import Generations
from streams.engines.redis_keys import META_KEY, retired_key, rewriting_key, stream_key
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_rewrite import NewGeneration
from streams.envelope import encode, new_event
from streams.errors import LogMismatch
from streams.events import MessageReceived
from tests.operations.damaged_log import DamagedLog, a_damaged_log
from tests.projections.read_model import PARTITIONS, thread_in

HERE = 2


@pytest.fixture
async def damaged(redis_url: str, empty_database_url: str) -> AsyncIterator[DamagedLog]:
    """In its second generation, with events that were acknowledged and not folded yet."""
    async with a_damaged_log(redis_url, empty_database_url) as log:
        await log.write(3)
        await log.project()
        await log.lose_tail(HERE, keep=2)
        await log.repair()
        await log.project()
        await log.write(2)
        yield log


async def the_record(log: DamagedLog) -> None:
    await log.redis.delete(META_KEY)


async def the_epoch(log: DamagedLog) -> None:
    await log.redis.hdel(META_KEY, "epoch")


async def an_older_record(log: DamagedLog) -> None:
    await log.redis.hset(META_KEY, "epoch", 1)


async def a_first_generation_begun_anew(log: DamagedLog) -> None:
    """And used: as a process did that knew no better."""
    await log.redis.hset(META_KEY, "epoch", 1)
    for number in range(2):
        for partition in range(PARTITIONS):
            message = MessageReceived(sid=f"SMstray{partition}{number}", kind="text", body="Oi", form={})
            event = new_event(message, subject=thread_in(partition), source="test")
            await log.redis.xadd(stream_key(partition), {"event": encode(event)})
            log.acknowledged.append(event)


LOSSES = [the_record, the_epoch, an_older_record, a_first_generation_begun_anew]


async def kept_bytes(log: DamagedLog) -> list[bytes]:
    """Everything that Redis holds of events, wherever."""
    return sorted(
        [
            fields[b"event"]
            for key in await log.redis.keys("prosa:*:*")
            if await log.redis.type(key) == b"stream"
            for _, fields in await log.redis.xrange(key)
        ]
    )


@pytest.mark.parametrize("lose", LOSSES)
async def test_who_starts_goes_on_in_the_newest_generation_and_everything_is_there_once(
    damaged: DamagedLog, lose: Callable[[DamagedLog], Awaitable[None]]
) -> None:
    await lose(damaged)
    before = await kept_bytes(damaged)
    with capture_logs() as lines:
        await damaged.log.start()
    assert [line["log_level"] for line in lines] == ["error"]
    assert damaged.log.epoch == 2
    await damaged.write(1)
    assert await damaged.repair() is None
    await damaged.assert_whole()
    assert set(before) <= set(await kept_bytes(damaged))
    for event in damaged.acknowledged:
        assert (await kept_bytes(damaged)).count(encode(event)) >= 1


@pytest.mark.parametrize("lose", LOSSES)
async def test_who_only_looks_sees_the_newest_generation_and_changes_nothing(
    damaged: DamagedLog, lose: Callable[[DamagedLog], Awaitable[None]]
) -> None:
    await lose(damaged)
    before = await damaged.redis.hgetall(META_KEY)
    found = await standing(damaged.system)
    assert (found.epoch, found.disagreements) == (2, {})
    assert await damaged.redis.hgetall(META_KEY) == before


@pytest.mark.parametrize("lose", LOSSES)
async def test_a_repair_right_after_the_loss_destroys_nothing(
    damaged: DamagedLog, lose: Callable[[DamagedLog], Awaitable[None]]
) -> None:
    await lose(damaged)
    before = await kept_bytes(damaged)
    assert await damaged.repair() is None
    assert sorted(await kept_bytes(damaged)) == before
    await damaged.assert_whole()


@pytest.mark.parametrize("lose", LOSSES)
async def test_a_webhook_that_slept_through_everything_appends_to_the_newest_generation(
    damaged: DamagedLog, lose: Callable[[DamagedLog], Awaitable[None]]
) -> None:
    """It knows the first generation only, and finds neither its stream nor a record that names a later one."""
    asleep = RedisEventLog(damaged.url, partitions=PARTITIONS)
    await damaged.redis.hset(META_KEY, "epoch", 1)
    await asleep.join()
    await damaged.redis.hset(META_KEY, "epoch", 2)
    await lose(damaged)
    if lose is a_first_generation_begun_anew:
        await damaged.redis.delete(*map(stream_key, range(PARTITIONS)))
        damaged.acknowledged[-2 * PARTITIONS :] = []
    await damaged.write(1, log=asleep)
    await asleep.close()
    assert await damaged.redis.keys("prosa:log:?") == []
    await damaged.assert_whole()


async def test_a_generation_that_is_gone_altogether_is_not_begun_under_the_name_of_one_that_is_kept(damaged: DamagedLog) -> None:
    await damaged.project()
    kept = await damaged.redis.xrange(retired_key(HERE, 1))
    await damaged.redis.delete(META_KEY, *(stream_key(partition, 2) for partition in range(PARTITIONS)))
    await damaged.log.start()
    assert damaged.log.epoch == 2
    repaired = await damaged.repair()
    assert repaired
    assert repaired.epoch == 3
    assert await damaged.redis.xrange(retired_key(HERE, 1)) == kept
    await damaged.assert_whole()


async def test_what_is_kept_is_never_overwritten(damaged: DamagedLog) -> None:
    """Somebody put a stream where the switch would keep the old one."""
    await damaged.project()
    await damaged.lose_tail(HERE, keep=2)
    await damaged.write(1, partitions=[HERE])

    def put(point: str) -> None:
        if point == "repair.switching":
            with Redis.from_url(damaged.url) as client:
                client.xadd(retired_key(HERE, 2), {"event": "kept"}, id="1-0")

    crash_points.on_reached = put
    assert await damaged.repair()
    assert await damaged.redis.xrange(retired_key(HERE, 2)) == [(b"1-0", {b"event": b"kept"})]
    assert await damaged.redis.xlen(f"{retired_key(HERE, 2)}:2") == 4
    await damaged.assert_whole()


async def test_what_an_unfinished_try_leaves_is_never_called_a_generation(damaged: DamagedLog) -> None:
    """So that nobody takes it for the newest one, and clearing it can touch nothing else."""
    await damaged.project()
    before = await kept_bytes(damaged)
    generation = NewGeneration(damaged.redis, PARTITIONS, before=1, epoch=3)
    await generation.set_marks(HERE, {})
    await damaged.redis.xadd(rewriting_key(HERE, 3), {"event": "unfinished"})
    await the_record(damaged)
    await damaged.log.start()
    assert damaged.log.epoch == 2
    await generation.clear()
    assert await kept_bytes(damaged) == before


async def test_a_stray_generation_is_gathered_in_steps_and_a_crash_between_them_loses_and_doubles_nothing(
    damaged: DamagedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_opening, "GATHER_AT_MOST", 3)
    await a_first_generation_begun_anew(damaged)

    class Crash(BaseException):
        pass

    def crash(point: str) -> None:
        if point == "log.gathering":
            raise Crash

    crash_points.on_reached = crash
    with pytest.raises(Crash):
        await damaged.log.start()
    assert await damaged.redis.hget(META_KEY, "epoch") == b"1"
    crash_points.on_reached = lambda _: None
    await damaged.log.start()
    assert damaged.log.epoch == 2
    assert await damaged.redis.keys("prosa:log:?") == []
    await damaged.assert_whole()


async def test_what_is_gathered_keeps_its_order_and_comes_last(damaged: DamagedLog) -> None:
    before = [each.value for each in await damaged.records(HERE)]
    await damaged.redis.hset(META_KEY, "epoch", 1)
    for number in range(3):
        await damaged.redis.xadd(stream_key(HERE), {"event": f"stray {number}"}, id=f"{number + 1}-0")
    await damaged.log.start()
    assert [each.value for each in await damaged.records(HERE)] == [*before, b"stray 0", b"stray 1", b"stray 2"]


@pytest.mark.parametrize("partitions", [PARTITIONS - 1, PARTITIONS + 1])
async def test_without_a_record_the_streams_tell_how_many_partitions_there_are(damaged: DamagedLog, partitions: int) -> None:
    """Another number would place every thread elsewhere."""
    await the_record(damaged)
    with pytest.raises(LogMismatch, match="STREAM_PARTITIONS"):
        await Generations(damaged.redis, partitions).open()
    assert not await damaged.redis.exists(META_KEY)
    await damaged.log.start()
    await damaged.assert_whole()


async def test_a_log_of_another_number_of_partitions_is_left_as_it_is(damaged: DamagedLog) -> None:
    await damaged.redis.hset(META_KEY, "epoch", 1)
    await damaged.redis.xadd(stream_key(HERE), {"event": "stray"})
    with pytest.raises(LogMismatch, match="STREAM_PARTITIONS"):
        await Generations(damaged.redis, PARTITIONS - 1).open()
    assert await damaged.redis.hgetall(META_KEY) == {b"partitions": str(PARTITIONS).encode(), b"epoch": b"1"}
    assert await damaged.redis.xlen(stream_key(HERE)) == 1
