"""A consumer group that somebody deletes, and deletes again while it is being made anew."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from streams import marks
from streams.engines.redis_connection import Client
from streams.engines.redis_log import RedisEventLog, stream_key
from streams.errors import LogUnavailable
from tests.streams.conftest import PARTITIONS, Engine, eventually
from tests.streams.test_consumer import Recorder, group, mark_of, thread_in, write

HERE = 0


class Deleting:
    """Deletes the group, or the whole stream, as soon as it was made; so many times."""

    def __init__(self, redis: Client, what: str, times: int) -> None:
        self._redis = redis
        self._what = what
        self.left = times

    async def delete(self) -> None:
        await (
            self._redis.xgroup_destroy(stream_key(HERE), "responder")
            if self._what == "group"
            else self._redis.delete(stream_key(HERE))
        )


@contextmanager
def deleted_again(log: RedisEventLog, redis: Client, what: str, times: int) -> Iterator[Deleting]:
    deleting, make = Deleting(redis, what, times), log._generations.create_group

    async def made_in_vain(epoch: int, partition: int, name: str) -> bool:
        is_made = await make(epoch, partition, name)
        if partition == HERE and deleting.left:
            deleting.left -= 1
            await deleting.delete()
        return is_made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log._generations, "create_group", made_in_vain)
        yield deleting


@pytest.mark.parametrize("what", ["group", "stream"])
async def test_a_group_that_is_deleted_again_while_it_is_made_is_an_outage_and_made_by_the_next_try(
    redis: Client, redis_log: RedisEventLog, what: str
) -> None:
    with deleted_again(redis_log, redis, what, 1):
        with pytest.raises(LogUnavailable, match="NOGROUP"):
            await redis_log.committed("responder")
        assert set(await redis_log.committed("responder")) == set(range(PARTITIONS))


async def test_a_consumer_joins_a_group_that_is_deleted_again_while_it_is_made(redis: Client, redis_log: RedisEventLog) -> None:
    engine, recorder = Engine(redis_log, redis), Recorder()
    await write(engine, thread_in(HERE), "one")
    with deleted_again(redis_log, redis, "group", 3) as deleting:
        async with group(engine, recorder) as serving:
            await eventually(lambda: recorder.finished == ["one"])
            assert (deleting.left, serving.fatal) == (0, [])


async def test_a_consumer_goes_on_after_its_group_was_deleted_and_again_while_it_compares_its_marks(
    redis: Client, redis_log: RedisEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "COMPARE_SECONDS", 0.05)
    engine, recorder = Engine(redis_log, redis), Recorder()
    async with group(engine, recorder) as serving:
        [one] = await write(engine, thread_in(HERE), "one")
        await eventually(lambda: is_marked(engine, one))
        with deleted_again(redis_log, redis, "group", 3) as deleting, capture_logs() as lines:
            await deleting.delete()
            await eventually(lambda: is_marked(engine, one) if not deleting.left else False)
        [two] = await write(engine, thread_in(HERE), "two")
        await eventually(lambda: is_marked(engine, two))
        assert (recorder.finished, serving.fatal) == (["one", "two"], [])
    assert any(line["event"].startswith("marks.set_back") for line in lines)


async def is_marked(engine: Engine, position: int) -> bool:
    return await mark_of(engine, HERE) == position
