"""Leases on a real server: one live owner per partition, in fair shares, taken over when they lapse."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_connection import Client
from streams.engines.redis_leases import RedisLeases, lease_key
from streams.engines.redis_ownership import RedisOwnership, monotonic_seconds
from streams.errors import NewerEvent
from streams.ownership import Takeover
from tests.streams.conftest import eventually

PARTITIONS = 8
LEASE_SECONDS = 1.0


@dataclass
class Served:
    """A consumer that notes what it is told, and drains as slowly as it is told to."""

    is_upstream: bool = False
    owned: dict[int, Takeover] = field(default_factory=dict)
    notes: list[tuple[str, int]] = field(default_factory=list)
    may_drain: asyncio.Event = field(default_factory=asyncio.Event)

    def gained(self, takeover: Takeover) -> None:
        assert takeover.partition not in self.owned
        self.owned[takeover.partition] = takeover
        self.notes.append(("gained", takeover.partition))

    def halt(self, partition: int) -> None:
        self.notes.append(("halted", partition))

    async def drain(self, partition: int) -> None:
        self.notes.append(("draining", partition))
        await self.may_drain.wait()
        self.owned.pop(partition, None)

    async def abandon(self, partition: int) -> None:
        self.notes.append(("abandoned", partition))
        self.owned.pop(partition, None)
        self.may_drain.set()


@dataclass(eq=False)
class Member:
    ownership: RedisOwnership
    served: Served
    fatal: list[BaseException] = field(default_factory=list)
    is_paused: bool = False
    offset: float = 0.0

    def clock(self) -> float:
        return monotonic_seconds() + self.offset

    @property
    def count(self) -> int:
        return len(self.ownership.owned)


Join = Callable[..., "asyncio.Future[Member]"]


class Members:
    """The processes of one test; each is stopped at the end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.all: list[Member] = []

    async def join(self, *, lease_seconds: float = LEASE_SECONDS, drains: bool = True) -> Member:
        member = Member(None, Served())  # type: ignore[arg-type]
        member.ownership = RedisOwnership(
            self.url, partitions=PARTITIONS, lease_seconds=lease_seconds, on_fatal=member.fatal.append, clock=member.clock
        )
        if drains:
            member.served.may_drain.set()
        member.ownership.attach(member.served)
        await member.ownership.start()
        self.all.append(member)
        return member

    async def crash(self, member: Member) -> None:
        """End without a word to anybody."""
        self.all.remove(member)
        for task in member.ownership._loops:
            task.cancel()
        await asyncio.gather(*member.ownership._loops, return_exceptions=True)
        await member.ownership._client.aclose()

    async def stop(self) -> None:
        for member in self.all:
            member.served.may_drain.set()
            await member.ownership.stop()
            assert member.fatal == []


@pytest.fixture
async def members(redis_url: str) -> AsyncIterator[Members]:
    found = Members(redis_url)
    yield found
    await found.stop()


def no_partition_twice(*members: Member) -> bool:
    owned = [partition for member in members for partition in member.ownership.owned]
    return len(owned) == len(set(owned))


@pytest.mark.alone
async def test_a_single_process_owns_everything_at_once(members: Members) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS, within_seconds=1)
    assert all(takeover.is_graceful for takeover in one.served.owned.values())
    assert 0 < one.ownership.remaining_seconds(0) <= LEASE_SECONDS


async def test_a_partition_that_is_given_back_is_said_to_leave_while_it_still_is_ours(members: Members) -> None:
    """So that nothing long is begun in it."""
    one = await members.join(drains=False)
    await eventually(lambda: one.count == PARTITIONS)
    assert not any(one.ownership.is_leaving(partition) for partition in range(PARTITIONS))
    stopping = asyncio.create_task(one.ownership.stop())
    await eventually(lambda: one.ownership.is_leaving(0))
    assert one.ownership.remaining_seconds(0) > 0
    one.served.may_drain.set()
    await stopping
    assert one.ownership.is_leaving(0)
    members.all.remove(one)


async def test_an_owner_never_believes_in_its_lease_for_longer_than_the_server(members: Members, redis: Client) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    until = monotonic_seconds() + LEASE_SECONDS

    async def is_over() -> bool:
        before = one.ownership.remaining_seconds(0)
        server_ms = await redis.pttl(lease_key(0))
        after = one.ownership.remaining_seconds(0)
        assert after > before or after * 1000 <= server_ms + 1, "unless it was renewed between the two"
        return monotonic_seconds() > until

    await eventually(is_over)


async def test_processes_share_in_fair_parts_and_nothing_is_owned_twice(members: Members) -> None:
    crowd = [await members.join() for _ in range(3)]

    def is_shared() -> bool:
        assert no_partition_twice(*crowd)
        return sorted(member.count for member in crowd) == [2, 3, 3]

    await eventually(is_shared)


async def test_what_is_handed_over_was_drained_first_and_counts_as_graceful(members: Members) -> None:
    one = await members.join(drains=False)
    await eventually(lambda: one.count == PARTITIONS)
    two = await members.join()
    await eventually(lambda: len(one.served.notes) == PARTITIONS + 4)
    assert two.count == 0
    assert one.count == PARTITIONS
    one.served.may_drain.set()
    await eventually(lambda: two.count == 4)
    assert all(takeover.is_graceful for takeover in two.served.owned.values())
    assert all(takeover.number == 2 for takeover in two.served.owned.values())


async def test_a_lease_is_renewed_while_its_partition_drains(members: Members) -> None:
    one = await members.join(drains=False)
    await eventually(lambda: one.count == PARTITIONS)
    two = await members.join()
    await eventually(lambda: ("draining", 7) in one.served.notes or len(one.served.notes) == PARTITIONS + 4)
    until = monotonic_seconds() + 1.5 * LEASE_SECONDS
    await eventually(lambda: monotonic_seconds() > until)
    assert (one.count, two.count) == (PARTITIONS, 0)


async def test_a_graceful_stop_frees_the_partitions_at_once(members: Members) -> None:
    one, two = await members.join(lease_seconds=30), await members.join(lease_seconds=30)
    await eventually(lambda: one.count + two.count == PARTITIONS)
    members.all.remove(two)
    await two.ownership.stop()
    assert two.ownership.owned == ()
    await eventually(lambda: one.count == PARTITIONS, within_seconds=2)
    assert all(takeover.is_graceful for takeover in one.served.owned.values())


async def test_a_crashed_owner_is_replaced_when_its_lease_is_over_and_not_before(members: Members, redis: Client) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    await members.crash(one)
    longest_ms = max([await redis.pttl(lease_key(partition)) for partition in range(PARTITIONS)])
    crashed_at = monotonic_seconds()
    two = await members.join()
    await eventually(lambda: two.count > 0)
    assert monotonic_seconds() - crashed_at > (longest_ms - 300) / 1000
    await eventually(lambda: two.count == PARTITIONS, within_seconds=3 * LEASE_SECONDS)
    assert not any(takeover.is_graceful for takeover in two.served.owned.values())


async def test_a_paused_owner_knows_by_its_own_clock_that_it_may_not_act(members: Members) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    one.offset += LEASE_SECONDS + 0.1
    assert one.ownership.owned == ()
    assert one.ownership.remaining_seconds(0) == 0
    await eventually(lambda: [note for note in one.served.notes if note[0] == "abandoned"] != [])
    await eventually(lambda: one.count == PARTITIONS)
    assert all(takeover.is_graceful for takeover in one.served.owned.values()), "this process never ended"


async def test_a_paused_owner_finds_its_partitions_with_another(members: Members, redis: Client) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    for partition in range(PARTITIONS):
        await redis.set(lease_key(partition), "another", px=60_000)
    await eventually(lambda: one.count == 0)
    await eventually(lambda: one.served.owned == {})
    assert {await redis.get(lease_key(partition)) for partition in range(PARTITIONS)} == {b"another"}


async def test_a_partition_is_not_claimed_again_before_its_work_was_abandoned(members: Members, redis: Client) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    held = asyncio.Event()

    async def abandon_slowly(partition: int) -> None:
        one.served.owned.pop(partition)
        await held.wait()

    one.served.abandon = abandon_slowly  # type: ignore[method-assign]
    await redis.delete(lease_key(3))
    await eventually(lambda: one.count == PARTITIONS - 1)
    until = monotonic_seconds() + LEASE_SECONDS
    await eventually(lambda: monotonic_seconds() > until)
    assert 3 not in one.ownership.owned
    held.set()
    await eventually(lambda: 3 in one.ownership.owned)


async def test_groups_are_drained_before_what_they_wait_for(members: Members) -> None:
    one = await members.join(drains=False)
    upstream = Served(is_upstream=True)
    upstream.may_drain.set()
    one.ownership.attach(upstream)
    await eventually(lambda: len(upstream.owned) == PARTITIONS)
    stopping = asyncio.create_task(one.ownership.stop())
    await eventually(lambda: len([note for note in one.served.notes if note[0] == "draining"]) == PARTITIONS)
    assert not [note for note in upstream.notes if note[0] == "draining"]
    one.served.may_drain.set()
    await stopping
    assert len([note for note in upstream.notes if note[0] == "draining"]) == PARTITIONS
    members.all.remove(one)


async def test_a_consumer_that_comes_late_is_told_what_is_owned(members: Members) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    late = Served()
    late.may_drain.set()
    one.ownership.attach(late)
    assert set(late.owned) == set(range(PARTITIONS))


async def test_a_declined_partition_is_halted_given_back_and_left_to_others(members: Members) -> None:
    old = await members.join()
    await eventually(lambda: old.count == PARTITIONS)
    with capture_logs() as logs:
        old.ownership.decline(2, NewerEvent("message.received.v2"))
    assert ("halted", 2) in old.served.notes
    assert [line["event_type"] for line in logs if line["log_level"] == "error"] == ["message.received.v2"]
    await eventually(lambda: 2 not in old.ownership.owned)
    new = await members.join()
    await eventually(lambda: 2 in new.ownership.owned)


async def test_what_the_others_decline_is_adopted_beyond_the_fair_share(members: Members) -> None:
    old, new = await members.join(), await members.join()
    await eventually(lambda: old.count + new.count == PARTITIONS)
    for partition in range(PARTITIONS):
        old.ownership.decline(partition, NewerEvent("message.received.v2"))
    await eventually(lambda: new.count == PARTITIONS)
    third = await members.join()
    await eventually(lambda: third.count >= 2 and new.count + third.count == PARTITIONS)


async def test_suspicion_is_remembered_across_processes(members: Members) -> None:
    for expected in (0, 0, 500, 500):
        member = await members.join()
        await eventually(lambda: member.count == PARTITIONS)  # noqa: B023 - awaited at once
        takeover = Takeover(0, member.served.owned[0].number, is_graceful=False)
        for _ in range(2):
            assert await member.ownership.isolated_to("sender", takeover, mark=100, head=500) == expected
        await member.ownership.stop()
        members.all.remove(member)


async def test_a_crash_of_the_lease_loop_is_told(members: Members) -> None:
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)

    def broken(takeover: Takeover) -> None:
        raise RuntimeError

    one.served.gained = broken  # type: ignore[method-assign]
    await one.ownership._client.delete(lease_key(0))
    await eventually(lambda: len(one.fatal) == 1)
    one.fatal.clear()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "valkey", free_port())
    server.start()
    yield server
    server.stop()


async def test_a_server_that_restarts_within_a_lease_costs_no_lease(own_valkey: EmbeddedValkey) -> None:
    members = Members(own_valkey.url)
    one = await members.join(lease_seconds=8)
    await eventually(lambda: one.count == PARTITIONS)
    await asyncio.to_thread(own_valkey.stop)
    own_valkey.start()
    before = one.ownership.remaining_seconds(0)
    await eventually(lambda: one.ownership.remaining_seconds(0) > before)
    assert {name for name, _ in one.served.notes} == {"gained"}
    await members.stop()


async def test_a_server_that_stays_away_ends_the_leases_and_is_told_in_one_line(own_valkey: EmbeddedValkey) -> None:
    members = Members(own_valkey.url)
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    with capture_logs() as logs:
        await asyncio.to_thread(own_valkey.stop)
        await eventually(lambda: one.served.owned == {})
        assert one.count == 0
        own_valkey.start()
        await eventually(lambda: one.count == PARTITIONS)
    assert len([line for line in logs if line.get("what") == "cannot renew leases"]) == 2
    await members.stop()


async def test_while_the_server_is_away_one_partition_tries_for_all_to_be_given_back(
    own_valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    release = RedisLeases.release

    async def counted(self: RedisLeases, partition: int) -> None:
        tried.append(partition)
        await release(self, partition)

    monkeypatch.setattr(RedisLeases, "release", counted)
    members = Members(own_valkey.url)
    one = await members.join()
    await eventually(lambda: one.count == PARTITIONS)
    await asyncio.to_thread(own_valkey.stop)
    await eventually(lambda: one.served.owned == {} and not one.ownership._handovers)
    assert set(tried) == set(range(PARTITIONS))
    assert len(tried) <= PARTITIONS + 21, "a try for each, and for one of them every twentieth of a lease"
    await members.stop()
