"""The contract of the log, for every engine."""

import asyncio

from streams.envelope import decode, new_event
from streams.events import ClockTicked, Event, MessageReceived
from streams.log import EventLog, Record
from streams.partitions import START, partition_of, partition_subject
from tests.streams.conftest import PARTITIONS, Engine

THREAD = "whatsapp:+14155238886|whatsapp:+5511999990000"
HERE = partition_of(THREAD, PARTITIONS)
OTHER = next(thread for thread in (f"a|{n}" for n in range(99)) if partition_of(thread, PARTITIONS) != HERE)


def event(subject: str = THREAD, body: str = "hi") -> Event:
    return new_event(MessageReceived(sid="SM1", kind="text", body=body, form={}), subject=subject, source="test")


async def everything(log: EventLog, partition: int = HERE) -> list[Record]:
    return list(await log.read({partition: START}, limit=1000))


async def test_what_was_appended_is_read_back_as_it_was(engine: Engine) -> None:
    first = event()
    appended = await engine.log.append(first)
    [record] = await everything(engine.log)
    assert (appended.partition, appended.position) == (HERE, record.position)
    assert decode(record.value) == first
    assert (record.epoch, record.partition) == (engine.log.epoch, HERE)


async def test_positions_grow_in_the_order_of_appends(engine: Engine) -> None:
    appended = [await engine.log.append(event(body=str(n))) for n in range(50)]
    positions = [place.position for place in appended]
    assert positions == sorted(set(positions))
    assert [record.position for record in await everything(engine.log)] == positions


async def test_reading_goes_on_after_a_position(engine: Engine) -> None:
    appended = [await engine.log.append(event(body=str(n))) for n in range(5)]
    records = await engine.log.read({HERE: appended[2].position}, limit=10)
    assert [record.position for record in records] == [place.position for place in appended[3:]]


async def test_a_limit_counts_per_partition(engine: Engine) -> None:
    for n in range(5):
        await engine.log.append(event(body=str(n)))
        await engine.log.append(event(OTHER, body=str(n)))
    records = await engine.log.read(dict.fromkeys(range(PARTITIONS), START), limit=2)
    assert sorted(record.partition for record in records) == sorted([HERE, HERE, *[partition_of(OTHER, PARTITIONS)] * 2])


async def test_a_position_just_before_an_entry_finds_that_entry(engine: Engine) -> None:
    appended = [await engine.log.append(event(body=str(n))) for n in range(3)]
    for place in appended:
        [record] = await engine.log.read({HERE: place.position - 1}, limit=1)
        assert record.position == place.position


async def test_an_empty_log_reads_empty_at_once_and_has_its_heads_at_the_start(engine: Engine) -> None:
    assert await everything(engine.log) == []
    assert await engine.log.heads() == dict.fromkeys(range(PARTITIONS), START)


async def test_a_waiting_read_returns_at_the_first_arrival(engine: Engine) -> None:
    reading = asyncio.create_task(engine.log.read(dict.fromkeys(range(PARTITIONS), START), limit=10, wait_seconds=30))
    await asyncio.sleep(0)
    appended = await engine.log.append(event())
    [record] = await asyncio.wait_for(reading, 5)
    assert record.position == appended.position


async def test_a_waiting_read_ends_when_its_time_is_over(engine: Engine) -> None:
    assert await asyncio.wait_for(engine.log.read({HERE: START}, limit=10, wait_seconds=0.05), 5) == []


async def test_a_cancelled_read_takes_nothing_with_it(engine: Engine) -> None:
    reading = asyncio.create_task(engine.log.read({HERE: START}, limit=10, wait_seconds=30))
    assert not (await asyncio.wait({reading}, timeout=0.05))[0]
    reading.cancel()
    await asyncio.wait({reading})
    appended = await engine.log.append(event())
    assert [record.position for record in await everything(engine.log)] == [appended.position]


async def test_waiting_readers_do_not_hold_up_an_append(engine: Engine) -> None:
    readers = [asyncio.create_task(engine.log.read({HERE: START}, limit=1, wait_seconds=30)) for _ in range(20)]
    assert not (await asyncio.wait(readers, timeout=0.05))[0]
    await asyncio.wait_for(engine.log.append(event()), 5)
    assert all(len(records) == 1 for records in await asyncio.wait_for(asyncio.gather(*readers), 5))


async def test_a_head_is_the_last_entry(engine: Engine) -> None:
    await engine.log.append(event())
    last = await engine.log.append(event())
    assert (await engine.log.heads())[HERE] == last.position


async def test_an_event_of_a_whole_partition_lands_there(engine: Engine) -> None:
    tick = ClockTicked(nominal="2026-01-01T00:00:00Z")
    for partition in range(PARTITIONS):
        appended = await engine.log.append(new_event(tick, subject=partition_subject(partition), source="test"))
        assert appended.partition == partition


async def test_concurrent_appends_all_stand_in_the_log_once(engine: Engine) -> None:
    appended = await asyncio.gather(*(engine.log.append(event(body=str(n))) for n in range(200)))
    records = await everything(engine.log)
    assert sorted(place.position for place in appended) == [record.position for record in records]


async def test_bytes_that_are_no_event_are_read_like_any_other(engine: Engine) -> None:
    await engine.append_bytes(0, b"\xff\x00 nonsense")
    [record] = await everything(engine.log, 0)
    assert record.value == b"\xff\x00 nonsense"


async def test_to_ask_whether_it_takes_events_leaves_the_log_as_it_was(engine: Engine) -> None:
    await engine.log.append(event())
    before = await everything(engine.log)
    await engine.log.require_writable()
    assert await everything(engine.log) == before


async def test_append_time_is_the_clock_of_the_log(engine: Engine) -> None:
    before = await engine.log.time_ms()
    await engine.log.append(event())
    [record] = await everything(engine.log)
    assert before <= record.appended_at_ms <= await engine.log.time_ms()


async def test_a_new_group_begins_at_the_first_entry(engine: Engine) -> None:
    for n in range(3):
        await engine.log.append(event(body=str(n)))
    mark = (await engine.log.committed("responder"))[HERE]
    assert (mark.position, mark.lag, mark.entries) == (START, 3, 0)


async def test_a_committed_mark_is_found_again_with_its_lag(engine: Engine) -> None:
    places = [await engine.log.append(event(body=str(n))) for n in range(5)]
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: places[2].position}, {HERE: 3})
    mark = (await engine.log.committed("responder"))[HERE]
    assert (mark.position, mark.lag, mark.entries) == (places[2].position, 2, 3)
    await engine.log.append(event())
    assert (await engine.log.committed("responder"))[HERE].lag == 3


async def test_a_mark_set_without_a_count_is_still_a_mark(engine: Engine) -> None:
    places = [await engine.log.append(event(body=str(n))) for n in range(5)]
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: places[2].position})
    assert (await engine.log.committed("responder"))[HERE].position == places[2].position


async def test_groups_do_not_move_each_other(engine: Engine) -> None:
    place = await engine.log.append(event())
    await engine.log.committed("sender")
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: place.position}, {HERE: 1})
    assert (await engine.log.committed("sender"))[HERE].position == START


async def test_a_mark_may_be_set_back(engine: Engine) -> None:
    places = [await engine.log.append(event(body=str(n))) for n in range(3)]
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: places[2].position}, {HERE: 3})
    await engine.log.commit("responder", {HERE: places[0].position}, {HERE: 1})
    assert (await engine.log.committed("responder"))[HERE].position == places[0].position


async def test_starting_again_changes_nothing(engine: Engine) -> None:
    await engine.log.append(event())
    await engine.log.start()
    assert len(await everything(engine.log)) == 1
    assert engine.log.partitions == PARTITIONS


async def test_a_log_that_was_started_can_be_joined(engine: Engine) -> None:
    appended = await engine.log.append(event())
    await engine.log.join()
    assert (await engine.log.heads())[HERE] == appended.position
    assert not engine.log.is_production


async def test_looking_for_the_marks_of_a_group_makes_none(engine: Engine) -> None:
    for n in range(3):
        await engine.log.append(event(body=str(n)))
    assert await engine.log.marks("responder") == {}
    assert await engine.log.marks("responder") == {}
    await engine.log.committed("responder")
    assert (await engine.log.marks("responder"))[HERE].lag == 3


async def test_marks_are_seen_as_they_were_committed(engine: Engine) -> None:
    places = [await engine.log.append(event(body=str(n))) for n in range(5)]
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: places[2].position}, {HERE: 3})
    assert (await engine.log.marks("responder"))[HERE] == (await engine.log.committed("responder"))[HERE]


async def test_a_log_that_nobody_serves_has_no_holders(engine: Engine) -> None:
    assert await engine.log.holders() == {}
