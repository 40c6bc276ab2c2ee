"""What a log can lose."""

from collections.abc import Awaitable, Callable

from streams.engines.redis_keys import META_KEY
from tests.operations.damaged_log import DamagedLog
from tests.projections.read_model import PARTITIONS

HERE = 2
"""The partition that is damaged where one is enough."""

Damage = Callable[[DamagedLog], Awaitable[object]]


async def tail(log: DamagedLog) -> None:
    for partition in range(PARTITIONS):
        await log.lose_tail(partition, keep=5)


async def tail_of_one(log: DamagedLog) -> None:
    await log.lose_tail(HERE, keep=5)


async def everything(log: DamagedLog) -> None:
    await log.redis.flushdb()


async def one_stream(log: DamagedLog) -> None:
    await log.redis.delete(await log.key(HERE))


async def the_record(log: DamagedLog) -> None:
    """And a stream with it; whoever starts first makes the log anew."""
    await log.redis.delete(META_KEY, await log.key(HERE))


DAMAGES = [tail, tail_of_one, everything, one_stream, the_record]
