"""A log that lost its tail, or everything, is made whole: nothing acknowledged that stands anywhere is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from operations.connection import Connection
from operations.errors import ActRefused
from operations.repair import Repaired
from operations.repair_findings import compare, standing
from operations.repair_system import require_room
from operations.timeline import timeline
from projections.archive import ArchiveAltered
from streams import crash_points
from streams.engines.redis_keys import META_KEY, retired_key, rewriting_key, stream_key
from streams.engines.redis_leases import RedisLeases
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_rewrite import SWITCH_AT_MOST, Entry, NewGeneration, Written
from streams.errors import CheckpointAhead, EpochChanged, LeaseLost, LogMismatch, LogUnavailable
from streams.log import Consumed
from streams.partitions import SEQUENCE_BITS, START, milliseconds_of_position
from tests.operations.damaged_log import GROUP, LEASE_SECONDS, DamagedLog, a_damaged_log
from tests.projections.read_model import PARTITIONS, thread_in
from tests.streams.conftest import eventually

HERE = 2

Damage = Callable[[DamagedLog], Awaitable[object]]


@pytest.fixture
async def damaged(redis_url: str, empty_database_url: str) -> AsyncIterator[DamagedLog]:
    async with a_damaged_log(redis_url, empty_database_url) as log:
        yield log


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    crash_points.on_reached = lambda _: None


# ------------------------------------------------------------------------------------------------------------- what is lost


async def tail(log: DamagedLog) -> None:
    for partition in range(PARTITIONS):
        await log.lose_tail(partition, keep=5)


async def tail_of_one(log: DamagedLog) -> None:
    await log.lose_tail(HERE, keep=5)


async def everything(log: DamagedLog) -> None:
    await log.redis.flushdb()


async def one_stream(log: DamagedLog) -> None:
    await log.redis.delete(await log.key(HERE))


async def the_record(log: DamagedLog) -> None:
    """And a stream with it; whoever starts first makes the log anew."""
    await log.redis.delete(META_KEY, await log.key(HERE))


DAMAGES = [tail, tail_of_one, everything, one_stream, the_record]


@pytest.mark.parametrize("is_used_on", [False, True], ids=["noticed at once", "used on"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_was_lost_comes_back_and_what_came_since_stays(damaged: DamagedLog, damage: Damage, is_used_on: bool) -> None:
    await damaged.write(4)
    await damaged.write_poison(HERE)
    await damaged.project()
    await damage(damaged)
    if is_used_on:
        await damaged.log.start()
        await damaged.write(3)
        await damaged.write_poison(HERE, b"other poison")
    with pytest.raises(CheckpointAhead, match="prosa repair"):
        await damaged.project()
    repaired = await damaged.repair()
    assert repaired
    assert repaired.epoch == 2
    await damaged.assert_whole()


async def test_a_projector_that_runs_folds_nothing_that_comes_after_a_loss(damaged: DamagedLog) -> None:
    """A failover between two reads: what is read next lies after the cursor, and what was before it is gone."""
    await damaged.write(2)
    await damaged.project()
    projector = damaged.projector()
    positions = await projector.positions(range(PARTITIONS))
    await damaged.lose_tail(HERE, keep=1)
    await damaged.write(1, partitions=[HERE])
    records = await damaged.log.read(positions, limit=10)
    assert len(records) == 2
    with pytest.raises(CheckpointAhead, match=f"partition {HERE}"):
        await projector.project(records)
    assert (await standing(damaged.system)).checkpoints[HERE].position == positions[HERE]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_log_is_repaired_again_and_again(damaged: DamagedLog, damage: Damage) -> None:
    for _ in range(3):
        await damaged.log.start()
        await damaged.write(3)
        await damaged.project()
        await damage(damaged)
        await damaged.write(1)
        assert await damaged.repair()
        await damaged.assert_whole()


async def test_a_log_that_agrees_is_left_as_it_is(damaged: DamagedLog) -> None:
    await damaged.write(3)
    await damaged.project()
    await damaged.write(1)
    assert await damaged.repair() is None
    assert damaged.log.epoch == 1
    await damaged.assert_whole()


async def test_what_was_archived_keeps_its_place_and_so_its_time(damaged: DamagedLog) -> None:
    await damaged.write(4)
    await damaged.project()
    before = await damaged.records(HERE)
    await tail(damaged)
    await damaged.repair()
    kept = [(each.position, each.appended_at_ms, each.value) for each in await damaged.records(HERE)]
    assert kept == [(each.position, each.appended_at_ms, each.value) for each in before]


async def test_a_survivor_that_a_clock_behind_stamped_comes_last_and_moves_no_time(damaged: DamagedLog) -> None:
    """The server that took over gave it an earlier time than what was lost: log time is the running maximum, as it was."""
    await damaged.write(3)
    await damaged.project()
    last = (await damaged.records(HERE))[-1]
    await damaged.lose_tail(HERE, keep=0)
    early = milliseconds_of_position(last.position) - 60_000
    for number in range(2):
        await damaged.redis.xadd(await damaged.key(HERE), {"event": f"survivor {number}"}, id=f"{early + number}-0")
    await damaged.repair()
    records = await damaged.records(HERE)
    assert [each.value for each in records[-2:]] == [b"survivor 0", b"survivor 1"]
    assert [each.position for each in records[-2:]] == [last.position + 1, last.position + 2]
    assert {each.appended_at_ms for each in records[-2:]} == {last.appended_at_ms}
    await damaged.assert_whole()


async def test_the_old_generation_is_kept_beside(damaged: DamagedLog) -> None:
    await damaged.write(3)
    await damaged.project()
    await tail(damaged)
    await damaged.repair()
    assert await damaged.redis.xlen(retired_key(HERE, 1)) == 5
    assert not await damaged.redis.exists(stream_key(HERE, 1))


async def test_what_somebody_pruned_from_the_archive_stays_in_front(damaged: DamagedLog) -> None:
    await damaged.write(4)
    await damaged.project()
    before = [each.value for each in await damaged.records(HERE)]
    async with damaged.database.transaction() as connection:
        await connection.execute(
            "DELETE FROM events WHERE partition = $1 AND position < $2", HERE, (await damaged.records(HERE))[3].position
        )
    await damaged.lose_tail(HERE, keep=6)
    await damaged.write(1, partitions=[HERE])
    found = await compare(damaged.system, await standing(damaged.system), HERE)
    assert (found.archived, found.entries, found.lost, found.survivors) == (5, 8, 2, 2)
    await damaged.repair()
    assert [each.value for each in await damaged.records(HERE)][: len(before)] == before
    await damaged.project()


async def test_an_archive_that_was_pruned_altogether_is_no_reason_for_a_false_alarm(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    async with damaged.database.transaction() as connection:
        await connection.execute("DELETE FROM events")
    await damaged.project()
    assert await damaged.repair() is None


async def test_poison_whose_bytes_are_gone_stays_out_and_the_log_is_whole_without_it(damaged: DamagedLog) -> None:
    """It was the last that was folded: what the checkpoint stands at can be compared by its place only."""
    await damaged.write(2)
    await damaged.write_poison(HERE)
    await damaged.project()
    await damaged.lose_tail(HERE, keep=2)
    async with damaged.database.transaction() as connection:
        await connection.execute("DELETE FROM skipped_events")
    repaired = await damaged.repair()
    assert repaired
    assert repaired.left_out == 1
    await damaged.write(1)
    await damaged.project()
    assert await damaged.repair() is None


async def test_an_archive_that_was_altered_is_not_taken_for_the_truth(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    async with damaged.database.transaction() as connection:
        await connection.execute("UPDATE events SET event = '{}' WHERE partition = $1", HERE)
    await tail_of_one(damaged)
    await damaged.lose_tail(HERE, keep=1)
    with pytest.raises(ArchiveAltered):
        await damaged.repair()
    assert (await standing(damaged.system)).epoch == 1


async def test_another_number_of_partitions_is_refused(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await damaged.redis.flushdb()
    fewer = type(damaged.system)(damaged.redis, damaged.database, PARTITIONS - 1, LEASE_SECONDS)

    async def compared() -> None:
        for partition in range(PARTITIONS - 1):
            await compare(fewer, await standing(fewer), partition)

    with pytest.raises(LogMismatch, match="partitions"):
        await compared()


# ------------------------------------------------------------------------------------------------------------------ marks


async def mark_of(damaged: DamagedLog, partition: int = HERE) -> tuple[int, int | None, int | None]:
    mark = (await damaged.log.marks(GROUP))[partition]
    return mark.position, mark.entries, mark.lag


async def test_a_group_goes_on_where_it_was(damaged: DamagedLog) -> None:
    await damaged.write(4)
    await damaged.project()
    await damaged.mark(HERE, 3)
    await damaged.lose_tail(HERE, keep=6)
    await damaged.repair()
    assert await mark_of(damaged) == ((await damaged.records(HERE))[2].position, 3, 5)


async def test_a_group_that_went_on_after_the_loss_handles_again_what_was_lost(damaged: DamagedLog) -> None:
    await damaged.write(4)
    await damaged.project()
    await damaged.lose_tail(HERE, keep=5)
    await damaged.write(1, partitions=[HERE])
    await damaged.mark(HERE, 7)
    await damaged.repair()
    assert await mark_of(damaged) == ((await damaged.records(HERE))[4].position, 5, 5)


async def test_groups_that_were_lost_too_start_at_the_oldest_entry(damaged: DamagedLog) -> None:
    await damaged.write(2)
    await damaged.project()
    await everything(damaged)
    await damaged.repair()
    assert await mark_of(damaged) == (START, 0, 4)


async def test_the_story_of_a_thread_goes_on_through_generations(damaged: DamagedLog) -> None:
    thread = thread_in(HERE)
    await damaged.write(2, partitions=[HERE])
    await damaged.project()
    watching = Connection(damaged.log, damaged.database)
    before = await timeline(watching, thread)
    assert [step.name for step in before.steps] == ["message.received"] * 2
    await tail_of_one(damaged)
    await damaged.lose_tail(HERE, keep=1)
    await damaged.repair()
    again = await timeline(watching, thread)
    assert (again.steps, again.conversation) == (before.steps, before.conversation)
    await damaged.write(1, partitions=[HERE])
    await damaged.project()
    for connection in (watching, Connection(damaged.log, damaged.database)):
        after = await timeline(connection, thread)
        assert after.steps[:2] == before.steps
        assert [step.name for step in after.steps] == ["message.received"] * 3


# ---------------------------------------------------------------------------------------------------- others at the same time


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


# ---------------------------------------------------------------------------------------------------------------- crashes


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
