"""
Ways in which Redis refuses, is away or loses something, each healed at the end of its `async with`.

Laws. Whoever is given a URL changes the server through a client, which may be anybody's; whoever is given a server stops
and starts our own. Give the server's own URL, not a proxy's. After healing, everything acknowledged before is there, except
by those whose docstring begins with "Loses"; and what was configured is as it was.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from simulator.servers import EmbeddedValkey, free_port
from tests.harness.append_only_file import newest_part
from tests.harness.own_servers import begin_to_start, kill, killed, shut_down, start
from tests.harness.process_faults import family_of, stopped
from tests.streams.conftest import eventually

__all__ = [
    "configured",
    "cut_tail",
    "delete_stream",
    "destroy_group",
    "end_clients",
    "everything_paused",
    "flush_database",
    "flush_server",
    "hung",
    "killed",
    "loading",
    "misconfigured",
    "no_replicas",
    "out_of_memory",
    "readonly",
    "shut_down",
    "without_fsync",
    "writes_paused",
]

PADDING = "prosa-harness:padding"
PADDING_WRITES = 10_240
"""The server looks at its clients after every 1024 commands that it loads: 10 times in all."""
PADDING_BATCH = 2_048


@asynccontextmanager
async def readonly(url: str) -> AsyncIterator[None]:
    """READONLY to every write: the server is the replica of a master that is not there. It keeps what it has."""
    async with _client(url) as client:
        await client.replicaof("127.0.0.1", free_port())
        try:
            yield
        finally:
            await client.replicaof("NO", "ONE")


@asynccontextmanager
async def no_replicas(url: str) -> AsyncIterator[None]:
    """NOREPLICAS to every write: one replica must have it, and there is none."""
    async with configured(url, **{"min-replicas-to-write": "1"}):
        yield


@asynccontextmanager
async def out_of_memory(url: str) -> AsyncIterator[None]:
    """OOM to every write."""
    async with configured(url, maxmemory="1"):
        yield


@asynccontextmanager
async def misconfigured(valkey: EmbeddedValkey) -> AsyncIterator[None]:
    """MISCONF to every write: a snapshot could not be saved, since a folder stands in its place (root too is stopped by that)."""
    obstacle = valkey.directory.path / "dump.rdb"
    async with _client(valkey.url) as client, configured(valkey.url, save="3600 1", **{"stop-writes-on-bgsave-error": "yes"}):
        obstacle.unlink(missing_ok=True)
        obstacle.mkdir()
        try:
            await _save(client, "err")
            yield
        finally:
            obstacle.rmdir()
            await _save(client, "ok")


@asynccontextmanager
async def without_fsync(url: str, appendfsync: str = "no") -> AsyncIterator[None]:
    """Everything works; what is acknowledged meanwhile is on disk later or, after a power cut, never."""
    async with configured(url, appendfsync=appendfsync):
        yield


@asynccontextmanager
async def writes_paused(url: str, seconds: float) -> AsyncIterator[None]:
    """A write is answered when this is over, or after so long; reads go on."""
    async with _client(url) as client:
        await client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
        try:
            yield
        finally:
            await client.execute_command("CLIENT", "UNPAUSE")


@asynccontextmanager
async def everything_paused(url: str, seconds: float) -> AsyncIterator[None]:
    """Nobody is answered for so long; nobody can end it earlier."""
    async with _client(url) as client:
        await client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
        yield
        await client.ping()


@asynccontextmanager
async def hung(valkey: EmbeddedValkey) -> AsyncIterator[None]:
    """Connections are taken by the kernel, and nobody answers: SIGSTOP."""
    async with stopped(*family_of(valkey.pid)):
        yield


@asynccontextmanager
async def loading(valkey: EmbeddedValkey, seconds: float) -> AsyncIterator[None]:
    """
    LOADING to everything for so long, and about a second more: killed, and started again on a file that takes its time.

    Between two looks at its clients it is silent for a tenth of it. At the end it is waited for.
    """
    async with _client(valkey.url) as client:
        for _ in range(PADDING_WRITES // PADDING_BATCH):
            pipeline = client.pipeline(transaction=False)
            for number in range(PADDING_BATCH):
                pipeline.set(PADDING, number)
            await pipeline.execute()
    await kill(valkey)
    starting = begin_to_start(valkey, "--key-load-delay", str(int(seconds / PADDING_WRITES * 1_000_000)))
    try:
        yield
    finally:
        await starting
        async with _client(valkey.url) as client:
            await client.config_set("key-load-delay", 0)
            await client.delete(PADDING)


async def cut_tail(valkey: EmbeddedValkey, lost_bytes: int = 0, percent: float = 0.0) -> int:
    """
    Loses what stands at the end of the append-only file: so many bytes, or so much of its newest part.

    A power cut, or a failover to a replica that lagged. Killed, cut, started again; returns how many bytes went.
    """
    await kill(valkey)
    newest = newest_part(valkey)
    size = newest.stat().st_size
    lost = min(size, max(lost_bytes, int(size * percent / 100)))
    with newest.open("r+b") as file:
        file.truncate(size - lost)
    await start(valkey)
    return lost


async def flush_server(url: str) -> None:
    """Loses everything, in every database."""
    async with _client(url) as client:
        await client.flushall()


async def flush_database(url: str) -> None:
    """Loses everything in the database of the URL."""
    async with _client(url) as client:
        await client.flushdb()


async def delete_stream(url: str, stream: str) -> None:
    """Loses one stream and its groups."""
    async with _client(url) as client:
        await client.delete(stream)


async def destroy_group(url: str, stream: str, group: str) -> None:
    """Loses how far a group has come."""
    async with _client(url) as client:
        await client.xgroup_destroy(stream, group)


async def end_clients(url: str) -> int:
    """Every connection but the one that says so is ended; returns how many."""
    async with _client(url) as client:
        return int(await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))


@asynccontextmanager
async def configured(url: str, **settings: str) -> AsyncIterator[None]:
    """The server has these settings meanwhile, and what it had before afterwards."""
    async with _client(url) as client:
        before = {name: (await client.config_get(name))[name] for name in settings}
        for name, value in settings.items():
            await client.config_set(name, value)
    try:
        yield
    finally:
        async with _client(url) as client:
            for name, value in before.items():
                await client.config_set(name, value)


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Any]:
    async with Redis.from_url(url, decode_responses=True, protocol=2) as client:
        yield client


async def _save(client: Any, status: str) -> None:
    """Save until it ends so; one that runs already is waited for."""

    async def is_so() -> bool:
        persistence = await client.info("persistence")
        if not persistence["rdb_bgsave_in_progress"] and persistence["rdb_last_bgsave_status"] != status:
            await client.bgsave()
        return bool(persistence["rdb_last_bgsave_status"] == status)

    await eventually(is_so)
