"""A repair beside webhooks that append, workers that serve and another repair."""

import asyncio

import pytest
from redis import Redis

from operations.errors import ActRefused
from operations.repair_findings import standing
from streams import crash_points
from streams.engines.redis_keys import retired_key, rewriting_key, stream_key
from streams.engines.redis_leases import RedisLeases
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_rewrite import SWITCH_AT_MOST
from streams.errors import EpochChanged
from streams.log import Consumed
from streams.partitions import SEQUENCE_BITS, START, milliseconds_of_position
from tests.operations.damaged_log import LEASE_SECONDS, DamagedLog
from tests.operations.damages import HERE, everything, tail
from tests.projections.read_model import PARTITIONS
from tests.streams.conftest import eventually


async def test_nothing_that_is_appended_meanwhile_is_lost(damaged: DamagedLog) -> None:
    """A webhook appends all the while, and goes over to the new generation by itself."""
    await damaged.write(3)
    await damaged.project()
    await tail(damaged)
    webhook, is_over = RedisEventLog(damaged.url, partitions=PARTITIONS), asyncio.Event()
    await webhook.start()

    async def append() -> None:
        while not is_over.is_set():
            await damaged.write(1, log=webhook)

    appending = [asyncio.create_task(append()) for _ in range(4)]
    await damaged.repair()
    before = len(damaged.acknowledged)
    await eventually(lambda: len(damaged.acknowledged) > before + 50)
    is_over.set()
    await asyncio.gather(*appending)
    await damaged.assert_whole()
    assert sum([await damaged.redis.xlen(retired_key(partition, 1)) for partition in range(PARTITIONS)]) > PARTITIONS * 5
    await webhook.close()


def appends_right_before_the_switch(damaged: DamagedLog, entries: dict[str, str]) -> None:
    """Where nothing else can see it: entries by id, in one partition."""

    def append(point: str) -> None:
        if point == "repair.switching":
            crash_points.on_reached = lambda _: None
            with Redis.from_url(damaged.url) as client, client.pipeline(transaction=False) as pipeline:
                for entry_id, value in entries.items():
                    pipeline.xadd(stream_key(HERE), {"event": value}, id=entry_id)
                pipeline.execute()

    crash_points.on_reached = append


async def test_what_comes_right_before_the_switch_is_taken_along_by_it(damaged: DamagedLog) -> None:
    """Also where the clock of the server that took over is behind what was lost."""
    await damaged.write(3)
    await damaged.project()
    last = (await damaged.records(HERE))[-1]
    await damaged.lose_tail(HERE, keep=0)
    early, late = milliseconds_of_position(last.position) - 60_000, milliseconds_of_position(last.position) + 60_000
    appends_right_before_the_switch(damaged, {f"{early}-3": "early", f"{early + 1}-0": "later", f"{late}-7": "last"})
    await damaged.repair()
    records = (await damaged.records(HERE))[-3:]
    assert [each.value for each in records] == [b"early", b"later", b"last"]
    assert [each.position for each in records] == [last.position + 1, last.position + 2, late << SEQUENCE_BITS | 7]
    await damaged.assert_whole()


async def test_so_much_that_the_switch_cannot_take_it_along_is_copied_first(damaged: DamagedLog) -> None:
    await damaged.write(3)
    await damaged.project()
    await damaged.lose_tail(HERE, keep=1)
    late = milliseconds_of_position((await damaged.log.heads())[HERE]) + 60_000
    appends_right_before_the_switch(damaged, {f"{late}-{number}": f"number {number}" for number in range(2 * SWITCH_AT_MOST)})
    await damaged.repair()
    assert len(await damaged.records(HERE)) == 6 + 2 * SWITCH_AT_MOST
    await damaged.assert_whole()


async def test_a_partition_that_somebody_serves_is_not_repaired_and_its_worker_is_named(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await everything(damaged)
    worker = RedisLeases(damaged.redis, "the worker", lease_seconds=60)
    await worker.claim([1], most=1)
    with pytest.raises(ActRefused, match="the worker serves 1; stop the handlers first"):
        await damaged.repair()
    await worker.release(1)
    assert await damaged.repair()


async def test_a_lease_that_is_about_to_lapse_is_waited_for(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await everything(damaged)
    await RedisLeases(damaged.redis, "a worker that died", LEASE_SECONDS).claim([1], most=1)
    assert await damaged.repair()
    assert await damaged.redis.keys("prosa:lease:*") == []


async def test_what_is_held_is_kept_while_another_partition_is_waited_for(damaged: DamagedLog) -> None:
    """The worker that died has a longer lease than the repair."""
    await damaged.write(2)
    await damaged.project()
    await everything(damaged)
    await RedisLeases(damaged.redis, "a worker that died", 1.8 * LEASE_SECONDS).claim([PARTITIONS - 1], most=1)
    seen: set[str] = set()
    crash_points.on_reached = seen.add
    repairing = asyncio.create_task(damaged.repair())
    await eventually(lambda: damaged.redis.exists("prosa:lease:0"))
    while "repair.claimed" not in seen:
        assert await damaged.redis.exists("prosa:lease:0")
        await asyncio.sleep(0)
    assert await repairing


async def test_nobody_can_take_a_partition_while_it_is_repaired(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await everything(damaged)
    seen: set[str] = set()
    crash_points.on_reached = seen.add
    worker = RedisLeases(damaged.redis, "the worker", LEASE_SECONDS)
    repairing = asyncio.create_task(damaged.repair())
    while not repairing.done():
        if "repair.claimed" in seen and "repair.finished" not in seen:
            assert await worker.claim(range(PARTITIONS), PARTITIONS) == [] or "repair.finished" in seen
        await asyncio.sleep(0)
    assert await repairing


async def test_a_repair_that_lost_its_leases_changes_nothing(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await tail(damaged)
    await damaged.lose_tail(HERE, keep=1)
    robber = RedisLeases(damaged.redis, "the worker", 60)
    robbing: list[asyncio.Task[object]] = []

    async def rob() -> None:
        await damaged.redis.set("prosa:lease:1", robber.member)

    crash_points.on_reached = lambda point: robbing.append(asyncio.ensure_future(rob())) if point == "repair.claimed" else None
    with pytest.raises(Exception, match="run it again"):
        await damaged.repair()
    assert (await standing(damaged.system)).epoch == 1
    assert not await damaged.redis.exists(rewriting_key(HERE, 2))


async def test_who_served_the_old_generation_ends_and_goes_on_in_the_new_one(damaged: DamagedLog, redis_url: str) -> None:
    await damaged.write(2)
    await damaged.project()
    served = RedisEventLog(redis_url, partitions=PARTITIONS)
    await served.start()
    await everything(damaged)
    await damaged.repair()
    with pytest.raises(EpochChanged):
        await served.disagreements({HERE: Consumed(START)})
    await served.start()
    assert await served.disagreements({HERE: Consumed((await served.heads())[HERE])}) == {}
    await served.close()
