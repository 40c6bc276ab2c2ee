"""A log that lost what was consumed of it is noticed, on every engine; what was deleted on purpose is not mistaken for that."""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest

from streams.agreement import require_agreement
from streams.engines.redis_connection import Client
from streams.engines.redis_log import FIELD, RedisEventLog, stream_key
from streams.errors import CheckpointAhead
from streams.log import Appended, Consumed
from streams.partitions import START, entry_id_of_position
from tests.streams.conftest import PARTITIONS, Engine
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
