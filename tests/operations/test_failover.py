"""A real failover: a replica takes the place of its primary, which was killed or follows it now, under the same address."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from handlers.processes import build_app, build_clock
from projections.migrate import migrate
from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_connection import Client
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_ownership import RedisOwnership
from streams.envelope import encode
from streams.errors import CheckpointAhead, LogUnavailable
from tests.handlers.test_reconciling import clock_settings, running
from tests.handlers.twilio_list import a_list
from tests.harness.own_servers import kill
from tests.harness.proxy import Proxy
from tests.operations.damaged_log import a_damaged_log
from tests.projections.read_model import PARTITIONS
from tests.streams.conftest import eventually
from tests.streams.test_conformance import event
from tests.webhook.posts import message
from tests.webhook.serving import door_on, serving

MILLISECONDS = 5000
AT_ONCE = 8
CONTACTS = 10


@dataclass
class Pair:
    """A primary and its replica, which hears of it through `link`; `front` leads to whichever is the primary."""

    primary: EmbeddedValkey
    replica: EmbeddedValkey
    link: Proxy

    async def replicate(self) -> None:
        host, port = self.link.address.split(":")
        async with Redis.from_url(self.primary.url) as primary:
            await primary.config_set("repl-diskless-sync-delay", 0)
        async with self._replica() as replica:
            await replica.config_set("masterauth", self.primary.directory.password)
            await replica.replicaof(host, port)
            await eventually(lambda: self._is_linked(replica))

    async def is_level(self) -> bool:
        """The replica has everything that the primary acknowledged so far."""
        async with Redis.from_url(self.primary.url) as primary:
            return bool(await primary.wait(1, MILLISECONDS))

    async def fail_over(self) -> Proxy:
        """The primary ends and does not come back; the replica takes writes, where the primary's clients look for it."""
        await kill(self.primary)
        await self._promote()
        front = Proxy(self.replica.url)
        front.port = self.primary.port
        return front

    async def hand_over(self, front: Proxy) -> None:
        """Both live on, the primary as the replica; who connects to `front` finds the new one, who is connected stays."""
        async with Redis.from_url(self.primary.url) as primary:
            await primary.client_pause(MILLISECONDS, all=False)
            assert await self.is_level()
            await self._promote()
            await primary.config_set("masterauth", self.primary.directory.password)
            await primary.replicaof("127.0.0.1", self.replica.port)
            await primary.client_unpause()
        front.lead_to(self.replica.url)

    async def _promote(self) -> None:
        async with self._replica() as replica:
            await replica.replicaof("NO", "ONE")
            await replica.config_set("requirepass", self.primary.directory.password)

    def _replica(self) -> Client:
        return Redis.from_url(self.replica.url)

    async def _is_linked(self, replica: Client) -> bool:
        return bool((await replica.info("replication"))["master_link_status"] == "up")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    primary, replica = (EmbeddedValkey(tmp_path / name, free_port()) for name in ("primary", "replica"))
    primary.start()
    replica.start()
    try:
        async with Proxy(primary.url) as link:
            found = Pair(primary, replica, link)
            await found.replicate()
            yield found
    finally:
        primary.stop()
        replica.stop()


async def test_a_failover_to_a_replica_that_lagged_is_noticed_and_a_repair_brings_back_what_was_folded(
    pair: Pair, empty_database_url: str
) -> None:
    async with a_damaged_log(pair.primary.url, empty_database_url) as log:
        await log.write(3)
        assert await pair.is_level()
        pair.link.hold()
        await log.write(3)
        await log.project()
        async with await pair.fail_over():
            with pytest.raises(CheckpointAhead, match="prosa repair"):
                await log.project()
            await log.write(2)
            assert await log.repair()
            await log.assert_whole()


async def test_a_failover_to_a_replica_that_is_level_is_a_pause(pair: Pair, empty_database_url: str) -> None:
    async with a_damaged_log(pair.primary.url, empty_database_url) as log:
        await log.write(3)
        await log.project()
        assert await pair.is_level()
        async with await pair.fail_over():
            await log.write(3)
            await log.project()
            assert await log.repair() is None
            await log.assert_whole()


async def test_what_nobody_had_folded_is_gone_with_the_primary_and_nothing_else_is(pair: Pair, empty_database_url: str) -> None:
    """That is what the reconciler fetches again: messages that Twilio lists and no log has."""
    async with a_damaged_log(pair.primary.url, empty_database_url) as log:
        await log.write(3)
        assert await pair.is_level()
        await log.project()
        pair.link.hold()
        await log.write(1)
        lost = [log.acknowledged.pop() for _ in range(2 * PARTITIONS)]
        async with await pair.fail_over():
            await log.write(1)
            await log.project()
            await log.assert_whole()
            standing = [record.value for partition in range(PARTITIONS) for record in await log.records(partition)]
            assert not {encode(event) for event in lost} & set(standing)


async def test_a_planned_failover_is_a_pause_though_the_old_primary_lives_on_and_keeps_its_clients(pair: Pair) -> None:
    async with Proxy(pair.primary.url) as front:
        log, of_door = (RedisEventLog(front.url, partitions=PARTITIONS) for _ in range(2))
        ownership = RedisOwnership(front.url, partitions=PARTITIONS, lease_seconds=4.0)

        async def can_append() -> bool:
            try:
                await asyncio.gather(*(log.append(event()) for _ in range(AT_ONCE)))
            except LogUnavailable:
                return False
            return True

        async with serving(door_on(of_door)) as client:

            async def posts_are_taken() -> bool:
                answers = await asyncio.gather(*(client.post(message()) for _ in range(AT_ONCE)))
                return {answer.status for answer in answers} == {200}

            await log.start()
            await ownership.start()
            await eventually(lambda: len(ownership.owned) == PARTITIONS)
            assert await can_append()
            assert await posts_are_taken()
            before = await log.heads()
            await log.read(before, limit=1)

            await pair.hand_over(front)
            moment = time.monotonic()

            await eventually(posts_are_taken)
            await eventually(can_append)
            await eventually(lambda: ownership.seconds_since_renewal < time.monotonic() - moment)
            assert len(ownership.owned) == PARTITIONS
            last = await log.append(event())
            found = await log.read({last.partition: last.position - 1}, limit=1)
            assert [record.position for record in found] == [last.position], "it is read where it was written"
        await ownership.stop()
        await log.close()


async def test_handlers_clock_and_webhook_go_on_after_a_planned_failover_and_each_contact_is_answered_once(
    pair: Pair, database_url: str
) -> None:
    """They write all the while; nothing is started anew."""
    await asyncio.to_thread(migrate, database_url)
    async with Proxy(pair.primary.url) as front, a_list() as listing:
        settings = clock_settings(front.url, database_url, listing, ai_model="offline", lease_seconds=4, reply_quiet_seconds=0)
        door = door_on(RedisEventLog(front.url, partitions=settings.stream_partitions))
        async with serving(door) as client, running(build_app(settings), build_clock(settings)):

            async def write(number: int) -> None:
                contact, sid = f"551190000{number:04}", f"SM{number:032x}"
                post = message(From=f"whatsapp:+{contact}", WaId=contact, MessageSid=sid, SmsMessageSid=sid, SmsSid=sid)

                async def is_taken() -> bool:
                    return (await client.post(post)).status == 200

                await eventually(is_taken)

            await asyncio.gather(*map(write, range(CONTACTS)))
            await eventually(lambda: len(listing.sent) == CONTACTS)
            writing = asyncio.gather(*map(write, range(CONTACTS, 2 * CONTACTS)))
            await pair.hand_over(front)
            await writing
            await asyncio.gather(*map(write, range(2 * CONTACTS, 3 * CONTACTS)))
            await eventually(lambda: len(listing.sent) >= 3 * CONTACTS, within_seconds=30)
        assert len({to for to, _ in listing.sent}) == len(listing.sent) == 3 * CONTACTS
