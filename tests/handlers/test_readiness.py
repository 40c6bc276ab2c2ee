"""What keeps a worker from its work, and from living: on a real Redis and a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from handlers import readiness
from handlers.groups import Groups, build_groups
from handlers.readiness import hung, problems_of_groups
from settings import Settings
from streams.envelope import new_event
from streams.errors import NewerEvent
from streams.events import MessageStatusChanged
from streams.log import Record
from streams.ownership import exit_at_once
from tests.handlers.world import eventually, thread_of
from tests.harness.valkey_faults import out_of_memory


@pytest.fixture
def settings(redis_url: str, empty_database_url: str) -> Settings:
    return Settings(_env_file=None, redis_url=redis_url, database_url=empty_database_url, stream_partitions=2, lease_seconds=1)


class Projecting:
    """A projector that takes a batch and does not come back while the gate is closed."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, records: Sequence[Record]) -> None:
        await self.gate.wait()


@asynccontextmanager
async def working(settings: Settings, projecting: Projecting | None = None) -> AsyncIterator[Groups]:
    groups = build_groups(settings, exit_at_once)
    await groups.log.start()
    await groups.projecting.start(projecting or groups.projector.project)
    await groups.responding.start(groups.respond.run)
    await groups.sending.start(groups.send.run)
    await groups.ownership.start()
    try:
        await has_problems(groups)
        yield groups
    finally:
        await groups.ownership.stop()
        for consumer in groups.consumers:
            await consumer.stop()
        await groups.database.close()
        await groups.log.close()


async def has_problems(groups: Groups, *sentences: str) -> None:
    """Return once the worker tells exactly these."""

    async def look() -> bool:
        found = await problems_of_groups(groups)
        return len(found) == len(sentences) and all(map(str.startswith, found, sentences))

    await eventually(look)


async def test_a_worker_is_not_ready_while_a_group_is_paused(settings: Settings) -> None:
    async with working(settings) as groups:
        breaker = groups.breakers[1]
        breaker.trip("check TWILIO_AUTH_TOKEN")
        await has_problems(groups, "sender is paused, since everything fails: check TWILIO_AUTH_TOKEN")
        breaker.succeeded("any")
        await has_problems(groups)


async def test_a_worker_is_not_ready_while_a_partition_waits_for_a_newer_version(settings: Settings) -> None:
    async with working(settings) as groups:
        groups.ownership.decline(1, NewerEvent("prosa.message.received.v9"))
        await has_problems(groups, "partition 1 holds events of a newer version")


async def test_a_worker_is_not_ready_when_a_group_does_not_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(settings) as groups:
        monkeypatch.setattr(readiness, "SILENT_SECONDS", 1.5)
        await groups.responding.stop()
        await has_problems(groups, "responder does not read")


async def test_a_worker_is_not_ready_while_the_log_takes_nothing_though_it_is_read(settings: Settings) -> None:
    """At once, and not only when its leases lapse."""
    url = settings.redis_url.get_secret_value()
    async with working(settings) as groups:
        async with out_of_memory(url):
            await has_problems(groups, "the log cannot be used (OOM: ")
        await has_problems(groups)


async def test_a_worker_without_partitions_is_ready_though_nothing_is_read(settings: Settings) -> None:
    """It takes over when another ends."""
    async with working(settings) as first, working(settings) as second, working(settings) as third:
        await eventually(lambda: sorted(len(each.ownership.owned) for each in (first, second, third)) == [0, 1, 1])
        for groups in (first, second, third):
            await has_problems(groups)


async def test_a_loop_that_hangs_is_named_and_its_neighbours_turn(settings: Settings) -> None:
    projecting = Projecting()
    async with working(settings, projecting) as groups:
        assert hung(groups.heartbeats, allowed_seconds=1.5) == []
        status = MessageStatusChanged(sid="SM1", status="sent")  # the other groups have no work with it
        await groups.log.append(new_event(status, subject=thread_of(), source="test"))
        [sentence] = await eventually(lambda: hung(groups.heartbeats, allowed_seconds=1.5))
        assert sentence.startswith("the loop 'projector reads' has not turned for 2 s")
        projecting.gate.set()
        await eventually(lambda: hung(groups.heartbeats, allowed_seconds=1.5) == [])


async def test_a_loop_that_has_not_begun_does_not_hang(settings: Settings) -> None:
    groups = build_groups(settings, exit_at_once)
    assert hung(groups.heartbeats, allowed_seconds=0) == []
    await groups.log.close()
