"""What the log and the consumers measure: appends, and how long what waits has waited. By the real clock, so on a real server."""

import pytest

import metrics
from streams.engines.redis_log import RedisEventLog
from streams.envelope import new_event
from streams.errors import LogUnavailable, ReadModelUnavailable
from streams.events import MessageReceived
from tests.measures import held
from tests.streams.conftest import PARTITIONS, Engine, eventually
from tests.streams.test_batch_consumer import Projection, running
from tests.streams.test_consumer import Recorder, group, thread_in, write

MINUTE = 60.0


@pytest.fixture
def engine(redis_log: RedisEventLog) -> Engine:
    return Engine(redis_log)


async def test_an_append_is_measured_whether_it_succeeds_or_fails(engine: Engine) -> None:
    durable, failed = held(metrics.APPEND_SECONDS, "other", "durable"), held(metrics.APPEND_SECONDS, "other", "failed")
    appended, errors = held(metrics.EVENTS_APPENDED, "message.received"), held(metrics.LOG_ERRORS, "no connection")
    await write(engine, thread_in(0), "a", "b")
    away = RedisEventLog("redis://127.0.0.1:1/0", partitions=PARTITIONS)
    with pytest.raises(LogUnavailable):
        await write(Engine(away), thread_in(0), "c")
    assert held(metrics.APPEND_SECONDS, "other", "durable") == durable + 2
    assert held(metrics.APPEND_SECONDS, "other", "failed") == failed + 1
    assert held(metrics.EVENTS_APPENDED, "message.received") == appended + 2
    assert held(metrics.LOG_ERRORS, "no connection") == errors + 1


async def test_an_appender_is_told_by_its_source(engine: Engine) -> None:
    before = held(metrics.APPEND_SECONDS, "webhook", "durable")
    data = MessageReceived(sid="SM1", kind="text", body="Olá", form={})
    await engine.log.append(new_event(data, subject=thread_in(0), source="prosa/webhook"))
    assert held(metrics.APPEND_SECONDS, "webhook", "durable") == before + 1


async def test_a_group_is_as_late_as_its_oldest_unfinished_event(engine: Engine) -> None:
    handler = Recorder(held={"slow"})
    async with group(engine, handler) as running_group:
        consumer = running_group.consumer
        await write(engine, thread_in(1, 0), "slow")
        await write(engine, thread_in(1, 1), "quick")
        await eventually(lambda: handler.finished == ["quick"])
        await eventually(lambda: MINUTE > consumer.lag_seconds[1] > 0.05)
        assert consumer.lag_seconds[0] == 0
        handler.release("slow")
        await eventually(lambda: consumer.lag_seconds[1] == 0)


async def test_a_group_that_reads_through_what_it_passes_over_is_as_late_as_what_it_has_come_to(engine: Engine) -> None:
    """A read that brings as much as was asked for may have left something."""
    async with group(engine, Recorder(), owned=(0,)) as running_group:
        reader = running_group.consumer._reader
        await eventually(lambda: running_group.consumer.lag_seconds == {0: 0})
        records = await write(engine, thread_in(0), "a", "b", "c")
        await reader.read({0: records[0] - 1}, 2)
        assert reader.unread_since_ms(0) is not None
        await reader.read({0: records[0] - 1}, 4)
        assert reader.unread_since_ms(0) is None


async def test_a_batch_in_hand_makes_its_partitions_late(engine: Engine) -> None:
    projection = Projection()
    projection.may_go_on.clear()
    async with running(engine, projection) as run:
        await write(engine, thread_in(2), "a")
        await eventually(lambda: MINUTE > run.consumer.lag_seconds.get(2, 0) > 0.05)
        assert {partition: seconds for partition, seconds in run.consumer.lag_seconds.items() if partition != 2 and seconds} == {}
        projection.may_go_on.set()
        await eventually(lambda: projection.bodies == ["a"])
        assert run.consumer.lag_seconds == dict.fromkeys(range(PARTITIONS), 0)  # and not only after the next read


async def test_a_batch_that_fails_stays_late_until_somebody_has_handled_it(engine: Engine) -> None:
    projection = Projection(failures=[ReadModelUnavailable("away")] * 1000)
    async with running(engine, projection, owned=(2,)) as run:
        [position] = await write(engine, thread_in(2), "a")
        await eventually(lambda: projection.begun > 2)
        assert run.consumer.lag_seconds[2] > 0
        projection.kept[2] = position
        await eventually(lambda: run.consumer.lag_seconds == {2: 0})
    assert projection.batches == []


async def test_tries_again_are_counted(engine: Engine) -> None:
    before = held(metrics.RETRIES, "responder")
    handler = Recorder(failures={"a": [ReadModelUnavailable("away"), ReadModelUnavailable("away")]})
    async with group(engine, handler):
        await write(engine, thread_in(0), "a")
        await eventually(lambda: handler.finished == ["a"])
    assert held(metrics.RETRIES, "responder") == before + 2
