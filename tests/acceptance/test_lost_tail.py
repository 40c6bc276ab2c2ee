"""The log loses its tail, or everything, under real processes: they notice, it is repaired, and nobody is answered twice."""

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from projections.migrate import migrate
from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_connection import Client
from streams.engines.redis_keys import META_KEY, stream_key
from streams.errors import EX_CONFIG
from tests.acceptance.running import PhoneCompany, eventually, prosa
from tests.acceptance.services import SECONDS, Services

CONTACTS = [f"whatsapp:+55119444400{number:02}" for number in range(6)]
QUICK = {
    "REPLY_QUIET_SECONDS": "0.1",
    "LEASE_SECONDS": "2",
    "TWILIO_TIMEOUT_SECONDS": "1",
    "CLOCK_TICK_SECONDS": "1",
    "STREAM_PARTITIONS": "4",
}


@dataclass
class Run:
    """The whole system on a Redis of its own."""

    valkey: EmbeddedValkey
    database_url: str
    services: Services
    twilio: PhoneCompany
    earlier: Path

    @property
    def appendonly(self) -> Path:
        return self.valkey.directory.path / "appendonlydir"

    @property
    def settings(self) -> dict[str, str]:
        return {**QUICK, "REDIS_URL": self.valkey.url, "DATABASE_URL": self.database_url}

    async def redis(self, *command: Any) -> Any:
        client: Client = Redis.from_url(self.valkey.url)
        async with client:
            return await client.execute_command(*command)

    async def write(self, body: str) -> None:
        """Every contact writes."""
        for contact in CONTACTS:
            await self.twilio.write(contact, body)

    async def everybody_is_answered(self, *bodies: str) -> None:
        """Return once every phone shows one answer to each of these, in this order; fail if it shows more."""

        async def look() -> bool:
            shown = [await self.answered(contact) for contact in CONTACTS]
            assert all(max(Counter(each).values(), default=0) <= 1 for each in shown), shown
            return all(each == list(bodies) for each in shown)

        await eventually(look, SECONDS, f"one answer to each of {bodies}")

    async def answered(self, contact: str) -> list[str]:
        """What each answer on a phone quotes."""
        return [message["body"].partition("“")[2].partition("”")[0] for message in await self.twilio.received(contact)]

    async def handlers_end(self) -> None:
        """By themselves, with the code that no supervisor answers with another start, and the remedy as their last word."""
        assert await self.services.handlers.exit_code() == EX_CONFIG
        assert "CheckpointAhead" in self.services.handlers.output
        assert "prosa repair" in self.services.handlers.output

    async def repair(self) -> str:
        code, output = await prosa("repair", "--yes", directory=self.services.directory, **self.settings)
        assert code == 0, output
        return output

    async def copy_log(self) -> None:
        """As a replica has it that lags from now on."""
        await asyncio.to_thread(shutil.copytree, self.appendonly, self.earlier)


@pytest.fixture
async def run(database_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    await asyncio.to_thread(migrate, database_url)
    valkey = EmbeddedValkey(tmp_path / "valkey", free_port())
    valkey.start()
    settings = {**QUICK, "REDIS_URL": valkey.url, "DATABASE_URL": database_url}
    services = Services(tmp_path / "services", settings)
    try:
        async with services.running() as twilio:
            await services.webhook_is_ready()
            yield Run(valkey, database_url, services, twilio, tmp_path / "earlier")
    finally:
        valkey.stop()


# ---------------------------------------------------------------------------------------------------------- how it is lost


async def the_tail_of_the_file(run: Run) -> None:
    """A power cut, where the disk had not written what it said."""
    run.valkey.stop()
    [file] = run.appendonly.glob("*.incr.aof")
    os.truncate(file, int(file.stat().st_size * 0.7))
    run.valkey.start()


async def a_lagging_copy_is_promoted(run: Run) -> None:
    run.valkey.stop()
    shutil.rmtree(run.appendonly)
    shutil.copytree(run.earlier, run.appendonly)
    for path in (run.appendonly, *run.appendonly.iterdir()):
        shutil.chown(path, run.valkey.directory.path.stat().st_uid, run.valkey.directory.path.stat().st_gid)
    run.valkey.start()


async def everything(run: Run) -> None:
    await run.redis("FLUSHALL")


async def one_stream(run: Run) -> None:
    await run.redis("DEL", stream_key(0))


Damage = Callable[[Run], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("damage", [the_tail_of_the_file, a_lagging_copy_is_promoted, everything, one_stream])
async def test_it_is_noticed_and_repaired_and_everything_is_answered_once(run: Run, damage: Damage) -> None:
    await run.write("before the copy")
    await run.everybody_is_answered("before the copy")
    await run.copy_log()
    await run.write("after the copy")
    await run.everybody_is_answered("before the copy", "after the copy")
    await damage(run)
    await run.handlers_end()
    await run.services.webhook_is_ready()
    await run.write("meanwhile")
    if damage is everything:
        run.services.handlers.start()  # of no use before it is repaired
        await run.handlers_end()
    assert "The log is whole, in generation 2" in await run.repair()
    run.services.handlers.start()
    await run.everybody_is_answered("before the copy", "after the copy", "meanwhile")
    await run.write("in the new generation")
    await run.everybody_is_answered("before the copy", "after the copy", "meanwhile", "in the new generation")
    code, output = await prosa("repair", "--dry-run", directory=run.services.directory, **run.settings)
    assert (code, "nothing to repair" in output) == (0, True)


@pytest.mark.parametrize("has_repair", [True, False])
async def test_a_record_that_is_lost_in_the_second_generation_costs_nothing(run: Run, has_repair: bool) -> None:
    """Whoever starts first finds the streams, and what the webhook appended while no worker ran."""
    await run.write("first")
    await run.everybody_is_answered("first")
    await one_stream(run)
    await run.handlers_end()
    await run.repair()
    run.services.handlers.start()
    await run.write("second")
    await run.everybody_is_answered("first", "second")
    await stop(run)
    await run.write("while nobody works")
    await run.redis("DEL", META_KEY)
    run.services.clock.start()
    if has_repair:
        assert "nothing to repair" in await run.repair()
    run.services.handlers.start()
    await run.everybody_is_answered("first", "second", "while nobody works")
    await run.write("afterwards")
    await run.everybody_is_answered("first", "second", "while nobody works", "afterwards")
    assert await run.redis("HGET", META_KEY, "epoch") == b"2"


async def test_groups_that_are_destroyed_alone_cost_nothing(run: Run) -> None:
    await run.write("first")
    await run.everybody_is_answered("first")
    for partition in range(int(QUICK["STREAM_PARTITIONS"])):
        for group in ("responder", "sender"):
            await run.redis("XGROUP", "DESTROY", stream_key(partition), group)
    await run.write("second")
    await run.everybody_is_answered("first", "second")
    run.services.handlers.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    assert await run.services.handlers.exit_code() == 0
    for partition in range(int(QUICK["STREAM_PARTITIONS"])):
        for group in ("responder", "sender"):
            await run.redis("XGROUP", "DESTROY", stream_key(partition), group)
    run.services.handlers.start()
    await run.write("third")
    await run.everybody_is_answered("first", "second", "third")


async def test_a_read_model_of_yesterday_catches_up_by_itself_and_nothing_is_sent_again(run: Run, postgres_url: str) -> None:
    await run.write("yesterday")
    await run.everybody_is_answered("yesterday")
    name = urlsplit(run.database_url).path.strip("/")
    await stop(run)
    await administer(postgres_url, f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    await start(run)
    await run.write("today")
    await run.everybody_is_answered("yesterday", "today")
    await stop(run)
    await administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")
    await administer(postgres_url, f"ALTER DATABASE {name}_backup RENAME TO {name}")
    await start(run)
    await run.write("tomorrow")
    await run.everybody_is_answered("yesterday", "today", "tomorrow")


async def stop(run: Run) -> None:
    for service in (run.services.handlers, run.services.clock):
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit_code() == 0


async def start(run: Run) -> None:
    run.services.handlers.start()
    run.services.clock.start()


async def administer(url: str, command: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()
