"""After a repair each group goes on where it was, and so do its threads."""

from operations.connection import Connection
from operations.timeline import timeline
from streams.partitions import START
from tests.operations.damaged_log import GROUP, DamagedLog
from tests.operations.damages import HERE, everything, tail_of_one
from tests.projections.read_model import thread_in


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
