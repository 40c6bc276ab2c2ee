"""The marks of consumer groups on Redis: the last-delivered ids of groups whose entries nobody reads by group."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError
from structlog import get_logger

from streams.engines.redis_connection import Client
from streams.engines.redis_generations import Generations
from streams.engines.redis_keys import stream_key
from streams.errors import EpochChanged, LogUnavailable
from streams.log import Committed
from streams.partitions import START, entry_id_of_position, position_of_entry_id
from telemetry import ranges

log = get_logger("prosa.log")


class RedisMarks:
    """The marks in one generation of a log. Its methods raise what the client raises."""

    def __init__(self, client: Client, generations: Generations, partitions: int, epoch: int) -> None:
        self._client = client
        self._generations = generations
        self._partitions = partitions
        self._epoch = epoch

    async def committed(self, group: str) -> dict[int, Committed]:
        """As `EventLog.committed`."""
        found = await self.groups()
        if missing := [partition for partition, infos in found.items() if group not in infos]:
            await self._create(group, missing)
            found = await self.groups()
        if any(group not in infos for infos in found.values()):
            raise LogUnavailable("NOGROUP")  # gone again at this very moment; the next try makes it again
        return {partition: infos[group] for partition, infos in found.items()}

    async def marks(self, group: str) -> dict[int, Committed]:
        """As `EventLog.marks`."""
        return {partition: infos[group] for partition, infos in (await self.groups()).items() if group in infos}

    async def commit(self, group: str, positions: Mapping[int, int], entries: Mapping[int, int]) -> None:
        """As `EventLog.commit`."""
        if missing := await self._set_ids(group, positions, entries):
            log.warning("group.made_again", reason="it was gone from the log", group=group, partitions=ranges(missing))
            await self._create(group, missing)
            if await self._set_ids(group, {partition: positions[partition] for partition in missing}, entries):
                raise LogUnavailable("NOGROUP")

    async def groups(self) -> dict[int, dict[str, Committed]]:
        """Every group's mark by its name, for each partition; none where the stream is gone."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for partition in range(self._partitions):
                pipeline.xinfo_groups(self._key(partition))
            replies = await _replies(pipeline)
        return {
            partition: {info["name"].decode(): _committed(info) for info in infos or ()}
            for partition, infos in enumerate(replies)
        }

    async def _create(self, group: str, partitions: Sequence[int]) -> None:
        for partition in partitions:
            if not await self._generations.create_group(self._epoch, partition, group):
                raise EpochChanged(f"generation {self._epoch} of the log is over")

    async def _set_ids(self, group: str, positions: Mapping[int, int], entries: Mapping[int, int]) -> list[int]:
        """Set the marks; returns the partitions where the group, or the stream itself, is gone."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for partition, position in positions.items():
                count = ("ENTRIESREAD", entries[partition]) if partition in entries else ()
                pipeline.execute_command("XGROUP SETID", self._key(partition), group, entry_id_of_position(position), *count)
            replies = await _replies(pipeline)
        return [partition for partition, reply in zip(positions, replies, strict=True) if reply is None]

    def _key(self, partition: int) -> str:
        return stream_key(partition, self._epoch)


async def _replies(pipeline: Any) -> list[Any]:
    """The replies, None where there is no such group or stream; any other error is raised."""
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    for number, reply in enumerate(replies):
        if isinstance(reply, ResponseError) and (
            "NOGROUP" in str(reply) or "no such key" in str(reply) or "key to exist" in str(reply)
        ):
            replies[number] = None
        elif isinstance(reply, Exception):
            raise reply
    return replies


def _committed(info: Mapping[str, Any]) -> Committed:
    """
    A mark that was set without a count has no `entries-read`, and no lag but at the start and the head (measured).

    Where the stream was deleted and made again the group has read more than was ever added: a lag below 0, which tells nothing.
    """
    position = position_of_entry_id(info["last-delivered-id"].decode())
    entries, lag = 0 if position == START else info.get("entries-read"), info.get("lag")
    return Committed(position, None if lag is None or lag < 0 else lag, entries)
