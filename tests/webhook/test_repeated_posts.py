"""However often a message is posted, to whichever process and whenever: it counts once."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from projections.database import Database
from projections.migrate import migrate
from streams.engines.redis_log import RedisEventLog
from streams.envelope import decode
from streams.events import MessageReceived
from streams.log import Record
from tests.projections.read_model import PARTITIONS, Projecting, dump
from tests.webhook.posts import BASE_URL, Post, message
from tests.webhook.processes import live, uvicorn
from tests.webhook.serving import Client

MESSAGES, CONTACTS, MOST_COPIES, AT_ONCE = 24, 6, 50, 24


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, database_url)
    database = Database(database_url)
    yield database
    await database.close()


@dataclass
class Door:
    """Two processes behind one address, one of which may be away: then the other is asked, as a load balancer does."""

    clients: list[Client]
    acknowledged: Counter[str] = field(default_factory=Counter)

    async def post(self, sid: str, post: Post, first: int) -> None:
        """Until it is taken."""
        for turn in range(first, first + 1000):
            try:
                answer = await self.clients[turn % len(self.clients)].post(post)
            except (ConnectionError, IndexError):  # refused, reset, or closed without a word
                await asyncio.sleep(0.02)
                continue
            if answer.status == 200:
                self.acknowledged[sid] += 1
                return
        raise AssertionError("nobody took it")


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_message_posted_many_times_to_two_processes_and_across_a_kill_counts_once(
    redis_url: str, database: Database, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - a test's own dice
    posts = {sid: _post(number, sid) for number in range(MESSAGES) if (sid := f"SM{seed:016x}{number:016x}")}
    copies = [sid for sid in posts for _ in range(dice.randint(1, MOST_COPIES))]
    dice.shuffle(copies)
    settings = {"REDIS_URL": redis_url, "STREAM_PARTITIONS": str(PARTITIONS), "PUBLIC_BASE_URL": BASE_URL, "LOG_LEVEL": "ERROR"}
    async with AsyncExitStack() as processes:
        started = [await processes.enter_async_context(uvicorn(tmp_path, "--no-access-log", **settings)) for _ in range(2)]
        door = Door([client for _, client in started])
        await asyncio.gather(*(live(client) for client in door.clients))
        third, turns = len(copies) // 3, asyncio.Semaphore(AT_ONCE)

        async def post(number: int, sid: str) -> None:
            async with turns:
                if number == third:
                    started[0][0].kill()
                if number == 2 * third:
                    _, door.clients[0] = await processes.enter_async_context(uvicorn(tmp_path, "--no-access-log", **settings))
                await door.post(sid, posts[sid], number)

        await asyncio.gather(*(post(number, sid) for number, sid in enumerate(copies)))
        await live(door.clients[0])

    records = await everything_in(redis_url)
    assert door.acknowledged == Counter(copies)
    assert all(count >= door.acknowledged[sid] for sid, count in sids_in(records).items())
    await Projecting(database).catch_up(records)
    rows = await dump(database)
    assert sorted(row["sid"] for row in rows["messages"]) == sorted(posts)
    assert len(rows["conversations"]) == CONTACTS
    states = [json.loads(row["state"]) for row in rows["threads"]]
    assert sum(state["inbound_count"] for state in states) == sum(len(state["unanswered"]) for state in states) == MESSAGES
    assert len(rows["events"]) == len(records) >= len(copies)


def _post(number: int, sid: str) -> Post:
    contact = f"551190000000{number % CONTACTS}"
    return message(
        MessageSid=sid, SmsSid=sid, SmsMessageSid=sid, From=f"whatsapp:+{contact}", WaId=contact, Body=f"message {number}"
    )


async def everything_in(url: str) -> list[Record]:
    log = RedisEventLog(url, partitions=PARTITIONS)
    await log.start()
    records = await log.read(dict.fromkeys(range(PARTITIONS), 0), limit=100_000)
    await log.close()
    return list(records)


def sids_in(records: list[Record]) -> Counter[str]:
    return Counter(data.sid for record in records if isinstance(data := decode(record.value).data, MessageReceived))
