"""The users that docs/operations.md proposes for Redis may do all that the processes do, and no harm."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from handlers.processes import build_app, build_clock
from operations.repair import repair
from operations.repair_system import repairable
from settings import Settings
from simulator.servers import EmbeddedValkey, free_port
from streams.engines.redis_connection import Client
from streams.engines.redis_keys import stream_key
from streams.engines.redis_log import RedisEventLog
from tests.handlers.test_reconciling import began_long_ago, clock_settings, running
from tests.handlers.twilio_list import a_list, ago
from tests.handlers.world import eventually
from tests.webhook.posts import message
from tests.webhook.serving import door_on, serving

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
RULES = dict(re.findall(r"^ACL SETUSER (\w+) on >PASSWORD (.+)$", DOCUMENT.read_text(), re.MULTILINE))
PARTITIONS = 2


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """Its users are its own: those of the tests' server are everybody's."""
    valkey = EmbeddedValkey(tmp_path, free_port())
    await asyncio.to_thread(valkey.start)
    yield valkey
    await asyncio.to_thread(valkey.stop)


@pytest.fixture
async def administrator(server: EmbeddedValkey) -> AsyncIterator[Client]:
    client: Client = Redis.from_url(server.url)
    for user, rules in RULES.items():
        await client.execute_command("ACL", "SETUSER", user, "on", f">{user}", *rules.split())
    yield client
    await client.aclose()


def url_of(server: EmbeddedValkey, user: str) -> str:
    parts = urlsplit(server.url)
    return urlunsplit(parts._replace(netloc=f"{user}:{user}@{parts.netloc.rpartition('@')[2]}"))


async def denied(administrator: Client) -> list[tuple[bytes, bytes]]:
    """Whom the server refused what."""
    entries = await administrator.execute_command("ACL", "LOG")
    return [(entry["username"], entry["object"]) for entry in entries]


async def test_webhook_handlers_clock_and_repair_need_no_more(
    server: EmbeddedValkey, administrator: Client, empty_database_url: str
) -> None:
    webhook = RedisEventLog(url_of(server, "webhook"), partitions=PARTITIONS)
    async with a_list() as listing, serving(door_on(webhook)) as client:
        settings = clock_settings(url_of(server, "prosa"), empty_database_url, listing, ai_model="offline", lease_seconds=1)
        await began_long_ago(settings)
        listing.wrote("missed", ago(minutes=5))
        async with running(build_app(settings), build_clock(settings)):
            await eventually(lambda: listing.sent, within_seconds=30)
            assert (await client.post(message())).status == 200
            assert (await client.get("/health/ready")).status == 200
        await lose_everything(administrator)
        assert (await client.post(message(Body="onto an emptied log"))).status == 200
        await repaired(settings)
        assert (await client.post(message(Body="after the repair"))).status == 200
    assert await denied(administrator) == []


async def lose_everything(administrator: Client) -> None:
    await administrator.delete("prosa:meta", *map(stream_key, range(PARTITIONS)))


async def repaired(settings: Settings) -> None:
    async with repairable(settings) as system:
        found = await repair(system, lambda *_: None)
    assert found
    assert found.epoch == 2


@pytest.mark.parametrize("user", RULES)
@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "XTRIM prosa:log:0 MAXLEN 0", "CONFIG SET save x", "GET other"])
async def test_neither_may_empty_the_log_or_change_the_server(
    server: EmbeddedValkey, administrator: Client, user: str, command: str
) -> None:
    assert await administrator.ping()
    client: Client = Redis.from_url(url_of(server, user))
    with pytest.raises(NoPermissionError):
        await client.execute_command(*command.split())
    await client.aclose()
