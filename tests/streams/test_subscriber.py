"""The consumers as FastStream runs them: real processes, killed, paused and stopped."""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from faststream import BaseMiddleware, Context, Depends, FastStream
from faststream.redis import RedisBroker

from simulator.servers import EmbeddedValkey, free_port
from streams.consumer import Delivery, GroupConsumer
from streams.engines.memory import MemoryEventLog, MemoryOwnership
from streams.engines.redis_connection import Client
from streams.engines.redis_leases import HOLDERS_KEY, MEMBERS_KEY
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_subscriber import subscribe
from streams.envelope import decode, new_event
from streams.events import MessageReceived
from streams.partitions import partition_of
from tests.streams.application import FAIL_KEY, HANDLED_KEY, KILL_KEY, PARTITIONS, PROJECTED_KEY
from tests.streams.conftest import Engine, TickingClock, eventually
from tests.streams.test_consumer import QUICK, body_of, thread_in, write

ROOT = Path(__file__).parents[2]


class Application:
    """The program of `application.py` under `faststream run`."""

    def __init__(self, url: str, output: Path, workers: int) -> None:
        self.url = url
        self.output = output
        self.workers = workers

    async def start(self) -> None:
        program = ("-m", "faststream", "run", "tests.streams.application:app", "--workers", str(self.workers))
        environment = {**os.environ, "REDIS_URL": self.url, "PYTHONPATH": str(ROOT)}
        with self.output.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *program, env=environment, cwd=ROOT, stdout=output, stderr=output
            )

    def pids(self) -> list[int]:
        """The workers, and not the tracker of resources that comes with spawned processes."""
        if self.workers == 1:
            return [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in _command_line(pid)]

    async def stop(self) -> int:
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 40)


def _command_line(pid: str) -> bytes:
    """Empty for a process that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@asynccontextmanager
async def running(url: str, tmp_path: Path, *, workers: int = 3) -> AsyncIterator[Application]:
    application = Application(url, tmp_path / "output.log", workers)
    await application.start()
    try:
        yield application
    except BaseException:
        sys.stderr.write(application.output.read_text())
        raise
    finally:
        if application.process.returncode is None:
            await application.stop()


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[RedisEventLog]:
    event_log = RedisEventLog(redis_url, partitions=PARTITIONS)
    await event_log.start()
    yield event_log
    await event_log.close()


THREADS = [f"thread {n}" for n in range(12)]


async def append(log: RedisEventLog, numbers: Iterable[int]) -> None:
    """One message on every thread for every number."""
    for number in numbers:
        for thread in THREADS:
            data = MessageReceived(sid=f"{thread} {number}", kind="text", body=str(number), form={})
            await log.append(new_event(data, subject=thread, source="test"))


async def handled(redis: Client) -> list[list[str]]:
    """Process, isolated, thread and body of everything that was handled, redeliveries included."""
    return [line.decode().split("/") for line in await redis.lrange(HANDLED_KEY, 0, -1)]


async def all_are_handled(redis: Client, expected: int, within_seconds: float = 30) -> None:
    async def are_handled() -> bool:
        return len({(thread, body) for _, _, thread, body in await handled(redis)}) >= expected

    await eventually(are_handled, within_seconds=within_seconds)


def all_committed(log: RedisEventLog) -> Callable[[], Awaitable[bool]]:
    """Whether the group's marks have reached the heads."""

    async def is_committed() -> bool:
        return all(mark.lag == 0 for mark in (await log.committed("responder")).values())

    return is_committed


async def orders(redis: Client) -> dict[str, list[int]]:
    """The order in which each thread's messages were handled first."""
    found: dict[str, list[int]] = defaultdict(list)
    for _, _, thread, body in await handled(redis):
        if int(body) not in found[thread]:
            found[thread].append(int(body))
    return found


async def test_three_workers_share_the_partitions_and_handle_everything_once_in_order(
    redis_url: str, redis: Client, log: RedisEventLog, tmp_path: Path
) -> None:
    async with running(redis_url, tmp_path) as application:

        async def are_members() -> bool:
            holders = list((await redis.hgetall(HOLDERS_KEY)).values())
            return sorted(holders.count(holder) for holder in set(holders)) in ([1, 1, 2], [2, 2])

        await eventually(are_members, within_seconds=30)
        await append(log, range(10))
        await all_are_handled(redis, 10 * len(THREADS))
        assert len(await handled(redis)) == 10 * len(THREADS)
        assert len({process for process, *_ in await handled(redis)}) > 1
        assert await orders(redis) == {thread: list(range(10)) for thread in THREADS}
        assert await application.stop() == 0
    assert await redis.hgetall(HOLDERS_KEY) == {}
    assert await redis.zcard(MEMBERS_KEY) == 0
    assert len(await redis.lrange(PROJECTED_KEY, 0, -1)) == 10 * len(THREADS)
    marks = await log.committed("responder")
    assert [mark.lag for mark in marks.values()] == [0] * PARTITIONS


async def test_workers_that_are_killed_lose_nothing_and_reorder_nothing(
    redis_url: str, redis: Client, log: RedisEventLog, tmp_path: Path
) -> None:
    async with running(redis_url, tmp_path) as application:
        for round_ in range(4):
            await append(log, range(round_ * 10, round_ * 10 + 10))
            await eventually(lambda: len(application.pids()) == 3, within_seconds=30)
            await all_are_handled(redis, round_ * 10 * len(THREADS) + 20)
            for pid in application.pids()[: 1 + round_ % 2]:
                os.kill(pid, signal.SIGKILL)
        await all_are_handled(redis, 40 * len(THREADS), within_seconds=60)
    assert await orders(redis) == {thread: list(range(40)) for thread in THREADS}


async def test_a_worker_that_was_paused_beyond_its_lease_does_nothing_when_it_wakes_up(
    redis_url: str, redis: Client, log: RedisEventLog, tmp_path: Path
) -> None:
    async with running(redis_url, tmp_path, workers=2) as application:
        await append(log, range(5))
        await eventually(all_committed(log))
        paused = application.pids()[0]
        os.kill(paused, signal.SIGSTOP)
        await append(log, range(5, 10))
        await eventually(all_committed(log))
        os.kill(paused, signal.SIGCONT)
        await append(log, range(10, 15))
        await all_are_handled(redis, 15 * len(THREADS))
    assert await orders(redis) == {thread: list(range(15)) for thread in THREADS}
    assert len(await handled(redis)) == 15 * len(THREADS)


async def test_an_event_that_kills_its_worker_is_found_by_itself(
    redis_url: str, redis: Client, log: RedisEventLog, tmp_path: Path
) -> None:
    await redis.sadd(KILL_KEY, "1")
    async with running(redis_url, tmp_path, workers=2):
        await append(log, range(3))

        async def was_isolated() -> bool:
            return any(isolated == "1" and body == "1" for _, isolated, _, body in await handled(redis))

        await eventually(was_isolated, within_seconds=60)
        await redis.delete(KILL_KEY)
        await all_are_handled(redis, 3 * len(THREADS), within_seconds=60)
    assert await orders(redis) == {thread: list(range(3)) for thread in THREADS}


async def test_a_failing_handler_is_tried_again_in_place(
    redis_url: str, redis: Client, log: RedisEventLog, tmp_path: Path
) -> None:
    await redis.sadd(FAIL_KEY, "1")
    async with running(redis_url, tmp_path, workers=1) as application:
        await append(log, range(3))
        await all_are_handled(redis, 3 * len(THREADS))
        assert await application.stop() == 0
        output = application.output.read_text()
    assert await orders(redis) == {thread: list(range(3)) for thread in THREADS}
    assert output.count("handler.failed") == 1
    assert "Traceback" not in output


async def test_a_server_that_is_away_at_the_start_is_waited_for_in_one_line(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey", free_port())
    server.start()
    url = server.url
    await asyncio.to_thread(server.stop)
    async with running(url, tmp_path, workers=1) as application:
        await eventually(lambda: "does not answer" in application.output.read_text(), within_seconds=30)
        server.start()
        try:
            log = RedisEventLog(url, partitions=PARTITIONS)
            await log.start()
            await append(log, range(1))
            await eventually(lambda: "outage.ended" in application.output.read_text(), within_seconds=30)
            await eventually(all_committed(log))
            await log.close()
            assert await application.stop() == 0
        finally:
            await asyncio.to_thread(server.stop)
        assert application.output.read_text().count("outage.begun") == 1
        assert "Traceback" not in application.output.read_text()


async def test_a_stop_while_the_server_is_away_ends_the_process(tmp_path: Path) -> None:
    async with running(f"redis://127.0.0.1:{free_port()}/0", tmp_path, workers=1) as application:
        await eventually(lambda: "does not answer" in application.output.read_text(), within_seconds=30)
        assert await application.stop() == 0


# ------------------------------------------------------------------------------------------------------- in this process


async def test_a_handler_is_called_through_middlewares_and_injection(redis_url: str) -> None:
    seen: list[object] = []

    class Noting(BaseMiddleware):
        async def consume_scope(self, call_next, msg):  # type: ignore[no-untyped-def]
            seen.append(("before", msg.message_id, msg.correlation_id))
            answer = await call_next(msg)
            seen.append("after")
            return answer

    async def respond(
        delivery: Delivery, message_id: str = Context("message.message_id"), given: int = Depends(lambda: 7)
    ) -> None:
        seen.append((body_of(delivery), message_id, given))

    engine = Engine(MemoryEventLog(PARTITIONS, TickingClock()))
    ownership = MemoryOwnership()
    consumer = GroupConsumer(engine.log, ownership, group="responder", names=frozenset({"message.received"}), retry=QUICK)
    broker = RedisBroker(redis_url, middlewares=[Noting])
    subscribe(broker, consumer, respond)
    async with FastStream(broker):
        ownership.gain(*range(PARTITIONS))
        await write(engine, thread_in(0), "hello")
        await eventually(lambda: len(seen) == 3)
    [record] = await engine.log.read({partition_of(thread_in(0), PARTITIONS): 0}, limit=1)
    event = decode(record.value)
    assert seen == [("before", event.id, event.correlation_id), ("hello", event.id, 7), "after"]
