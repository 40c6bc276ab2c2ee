"""A log that lost what was consumed of it is noticed, on every engine; what was deleted on purpose is not mistaken for that."""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest

from streams.agreement import require_agreement
from streams.consumer import GroupConsumer
from streams.delivery import Delivery
from streams.engines.memory import MemoryOwnership
from streams.engines.redis_connection import Client
from streams.engines.redis_log import FIELD, RedisEventLog, stream_key
from streams.errors import CheckpointAhead
from streams.events import ClockTicked
from streams.log import Appended, Consumed
from streams.partitions import START, entry_id_of_position
from tests.streams.conftest import PARTITIONS, Engine, eventually
from tests.streams.test_conformance import HERE, event, everything


async def appended(engine: Engine, number: int = 5) -> list[Appended]:
    return [await engine.log.append(event(body=str(n))) for n in range(number)]


async def test_what_stands_in_the_log_agrees_with_it(engine: Engine) -> None:
    await appended(engine)
    for record in await everything(engine.log):
        consumed = {HERE: Consumed(record.position, sha256(record.value).digest())}
        assert await engine.log.disagreements(consumed) == {}


async def test_who_has_consumed_nothing_agrees_with_every_log(engine: Engine) -> None:
    assert await engine.log.disagreements({partition: Consumed(START) for partition in range(PARTITIONS)}) == {}


async def test_a_log_that_lost_its_tail_is_noticed(engine: Engine) -> None:
    places = await appended(engine)
    await engine.lose_tail(HERE, keep=3)
    found = await engine.log.disagreements({HERE: Consumed(places[4].position), (HERE + 1) % PARTITIONS: Consumed(START)})
    assert list(found) == [HERE]
    assert await engine.log.disagreements({HERE: Consumed(places[2].position)}) == {}


async def test_a_tail_that_was_lost_and_grew_again_is_noticed(engine: Engine) -> None:
    places = await appended(engine)
    await engine.lose_tail(HERE, keep=3)
    engine.clock.now_ms += 1000
    for n in range(9):
        await engine.log.append(event(body=f"new {n}"))
    assert list(await engine.log.disagreements({HERE: Consumed(places[4].position)})) == [HERE]


async def test_a_log_that_was_emptied_and_filled_anew_is_noticed(engine: Engine) -> None:
    places = await appended(engine)
    await engine.lose_tail(HERE, keep=0)
    assert list(await engine.log.disagreements({HERE: Consumed(places[0].position)})) == [HERE]
    engine.clock.now_ms += 1000
    await engine.log.append(event(body="new"))
    assert list(await engine.log.disagreements({HERE: Consumed(places[0].position)})) == [HERE]


async def test_another_entry_at_the_same_place_is_noticed_by_its_bytes(engine: Engine) -> None:
    [place] = await appended(engine, 1)
    assert list(await engine.log.disagreements({HERE: Consumed(place.position, sha256(b"other").digest())})) == [HERE]


async def test_the_error_names_partition_command_and_runbook(engine: Engine) -> None:
    places = await appended(engine)
    await engine.lose_tail(HERE, keep=1)
    with pytest.raises(CheckpointAhead, match=rf"partition {HERE}: .*prosa repair .*docs/operations.md"):
        await require_agreement(engine.log, {HERE: Consumed(places[4].position)})
    assert CheckpointAhead.exit_code == 78  # no supervisor starts it again for ever


Deletion = Callable[[Client, Appended], Awaitable[object]]


async def xdel(redis: Client, place: Appended) -> None:
    await redis.xdel(stream_key(HERE), entry_id_of_position(place.position))


async def trim(redis: Client, place: Appended) -> None:
    await redis.xtrim(stream_key(HERE), minid=entry_id_of_position(place.position + 1), approximate=False)


async def trim_all(redis: Client, _: Appended) -> None:
    await redis.xtrim(stream_key(HERE), maxlen=0, approximate=False)


@pytest.mark.parametrize("delete", [xdel, trim, trim_all])
async def test_what_was_deleted_on_purpose_is_not_lost(redis: Client, redis_log: RedisEventLog, delete: Deletion) -> None:
    places = [await redis_log.append(event(body=str(n))) for n in range(5)]
    await delete(redis, places[3])
    assert await redis_log.disagreements({HERE: Consumed(places[3].position, b"whatever")}) == {}


async def test_a_stream_that_is_gone_is_noticed(redis: Client, redis_log: RedisEventLog) -> None:
    place = await redis_log.append(event())
    await redis.delete(stream_key(HERE))
    assert await redis_log.disagreements({HERE: Consumed(place.position)}) == {HERE: "its stream is gone from the log"}


async def test_a_new_entry_below_what_was_consumed_does_not_hide_the_loss(redis: Client, redis_log: RedisEventLog) -> None:
    """The clock of the server that took over is behind: XREAD after the old head would pass over whatever it stamps."""
    place = await redis_log.append(event())
    await redis.delete(stream_key(HERE))
    await redis.xadd(stream_key(HERE), {FIELD: b"{}"}, id=f"{(place.position >> 20) - 60_000}-0")
    [(partition, sentence)] = (await redis_log.disagreements({HERE: Consumed(place.position)})).items()
    assert (partition, "ends at" in sentence) == (HERE, True)


# ------------------------------------------------------------------------------------------------------------- a group


@pytest.fixture
def fatal() -> list[BaseException]:
    return []


def group(engine: Engine, fatal: list[BaseException]) -> tuple[GroupConsumer, MemoryOwnership]:
    ownership = MemoryOwnership()
    names = frozenset({ClockTicked.name})  # whatever contacts write is passed over
    return GroupConsumer(engine.log, ownership, group="responder", names=names, on_fatal=fatal.append), ownership


async def nothing(_: Delivery) -> None:
    pass


async def test_a_group_whose_mark_the_log_lost_does_not_begin(
    engine: Engine, fatal: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.marks.COMPARE_SECONDS", 3600)
    places = await appended(engine)
    await engine.lose_tail(HERE, keep=3)
    await engine.log.committed("responder")
    await engine.log.commit("responder", {HERE: places[4].position})
    consumer, ownership = group(engine, fatal)
    await consumer.start(nothing)
    ownership.gain(HERE)
    await eventually(lambda: bool(fatal))
    assert isinstance(fatal[0], CheckpointAhead)
    await consumer.stop()


async def test_a_group_that_runs_notices_that_the_log_lost_what_it_read(
    engine: Engine, fatal: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.marks.COMPARE_SECONDS", 0.05)
    places = await appended(engine)
    consumer, ownership = group(engine, fatal)
    await consumer.start(nothing)
    ownership.gain(HERE)

    async def has_passed_over_everything() -> bool:
        return (await engine.log.committed("responder"))[HERE].position == places[4].position

    await eventually(has_passed_over_everything)
    assert not fatal
    await engine.lose_tail(HERE, keep=3)
    await eventually(lambda: bool(fatal))
    assert isinstance(fatal[0], CheckpointAhead)
    await consumer.stop()
