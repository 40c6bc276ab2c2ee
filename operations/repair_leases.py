"""A repair holds every lease, as a worker would, so that nobody serves a partition meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from operations.errors import ActRefused
from operations.repair_system import System
from streams.cancellation import end
from streams.engines.redis_leases import RedisLeases, holders_of
from streams.errors import ProsaError
from streams.log import Holder
from telemetry import ranges

LOOK_SECONDS = 0.25


@asynccontextmanager
async def every_lease(system: System) -> AsyncIterator[str]:
    """Hold every partition, so that nobody serves one meanwhile. Raises `ActRefused` while workers do."""
    leases = RedisLeases(system.redis, f"repair {uuid4()}", system.lease_seconds)
    partitions = range(system.partitions)
    renewing: asyncio.Task[None] | None = None
    try:
        await _claim_all(system, leases, partitions)
        renewing = asyncio.create_task(_renew(leases, partitions, system.lease_seconds), name="repair: renew leases")
        yield leases.member
    finally:
        if renewing:
            await end([renewing])
        for partition in partitions:
            await leases.release(partition)
        await leases.leave()


async def _claim_all(system: System, leases: RedisLeases, partitions: Sequence[int]) -> None:
    """Wait for as long as a lease outlives its worker; each try to claim what is not free yet renews what is held by then."""
    waits_until = asyncio.get_running_loop().time() + system.lease_seconds + 1.0
    while True:
        held = {takeover.partition for takeover in await leases.claim(partitions, len(partitions))}
        if len(held) == len(partitions):
            return
        holders = await holders_of(system.redis, partitions)
        if asyncio.get_running_loop().time() > waits_until:
            raise ActRefused(_served({n: holder for n, holder in holders.items() if n not in held}))
        await asyncio.sleep(LOOK_SECONDS)


async def _renew(leases: RedisLeases, partitions: Sequence[int], lease_seconds: float) -> None:
    """The switch looks for itself whether they were kept."""
    while True:
        await asyncio.sleep(lease_seconds / 4)
        try:
            await leases.renew(partitions)
        except ProsaError:
            continue


def _served(holders: Mapping[int, Holder]) -> str:
    by_member: dict[str, list[int]] = {}
    for partition, holder in holders.items():
        by_member.setdefault(holder.member, []).append(partition)
    told = "; ".join(f"{member} serves {ranges(partitions)}" for member, partitions in sorted(by_member.items()))
    return f"workers run still: {told}; stop the handlers first"
