"""A log that lost its tail, or everything, is made whole: nothing acknowledged that stands anywhere is lost."""

import pytest

from operations.repair_findings import compare, standing
from projections.archive import ArchiveAltered
from streams.engines.redis_keys import retired_key, stream_key
from streams.errors import CheckpointAhead, LogMismatch
from streams.partitions import milliseconds_of_position
from tests.operations.damaged_log import LEASE_SECONDS, DamagedLog
from tests.operations.damages import DAMAGES, HERE, Damage, tail, tail_of_one
from tests.projections.read_model import PARTITIONS


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
