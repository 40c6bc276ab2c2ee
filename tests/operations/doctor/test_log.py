"""What the doctor sees of the log, on a real server whose settings are turned; it writes nothing there."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis.asyncio

from operations.doctor.findings import Group, Severity
from operations.doctor.log_safety import disk_findings, memory_findings
from streams.engines.redis_leases import RedisLeases
from streams.engines.redis_log import META_KEY, RedisEventLog, stream_key
from streams.envelope import encode, new_event
from streams.events import ClockTicked
from streams.partitions import partition_subject
from tests.operations.doctor.looking import CANARY, look, look_at

WARNING, ERROR, OK = Severity.WARNING, Severity.ERROR, Severity.OK
PARTITIONS = 8
SAFE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
READER = (
    "~*",
    "&*",
    "+@read",
    "+info",
    "+config|get",
    "+time",
    "+ping",
    "+select",
    "+client",
    "+hello",
    "+multi",
    "+exec",
    "-@write",
)

Redis: TypeAlias = Any
"""Its own annotations leave out `execute_command`."""


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    """The server itself; what is turned in its settings is turned back."""
    client: Redis
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        before = {name: (await client.config_get(name))[name] for name in (*SAFE, "maxmemory")}
        for name, value in SAFE.items():
            await client.config_set(name, value)
        yield client
        for name, value in before.items():
            await client.config_set(name, value)
        for user in ("reader", "tenant"):
            await client.execute_command("ACL", "DELUSER", user)


@pytest.fixture
async def log(redis_url: str, server: Redis) -> AsyncIterator[RedisEventLog]:
    """A log that was started, and that nobody serves."""
    log = RedisEventLog(redis_url, partitions=PARTITIONS)
    await log.start()
    yield log
    await log.close()


def as_user(url: str, name: str, password: str) -> str:
    address = urlsplit(url)
    return urlunsplit(address._replace(netloc=f"{name}:{password}@{address.hostname}:{address.port}"))


async def tick(log: RedisEventLog) -> None:
    nominal = "2026-01-01T00:00:00Z"
    for partition in range(PARTITIONS):
        data = ClockTicked.model_validate({"nominal": nominal})
        await log.append(new_event(data, subject=partition_subject(partition), source="prosa/clock"))


async def serve(server: Redis, member: str = "a") -> None:
    await RedisLeases(server, member, 60).claim(range(PARTITIONS), PARTITIONS)


async def test_a_safe_log_that_is_served_and_ticks_is_well(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    await tick(log)
    await serve(server)
    found = await look(redis_url=redis_url)
    for check in ("log", "log record", "log safety", "host clock", "clock", "workers"):
        assert set(found.severities(check)) == {OK}, found.told(check)


async def test_nothing_is_written_to_the_log(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    """A user that may only read sees all that there is to see."""
    await tick(log)
    await serve(server)
    await server.execute_command("ACL", "SETUSER", "reader", "on", f">{CANARY}", *READER)
    found = await look(redis_url=as_user(redis_url, "reader", CANARY))
    for check in ("log", "log record", "log safety", "host clock", "clock", "workers"):
        assert set(found.severities(check)) == {OK}, found.told(check)
    assert "NOPERM" not in found.everything
    assert CANARY not in found.everything


async def test_an_empty_log_is_not_started_yet_and_stays_empty(redis_url: str, server: Redis) -> None:
    found = await look(redis_url=redis_url)
    assert found.severities("log record") == [WARNING]
    assert "not started yet" in found.told("log record")
    assert [found.of(check) for check in ("clock", "workers", "lag")] == [[], [], []]
    assert await server.dbsize() == 0


async def test_a_log_that_nothing_serves_at_is_told_once_with_the_setting() -> None:
    found = await look(redis_url=f"redis://user:{CANARY}@127.0.0.1:1/0")
    assert found.severities("log") == [ERROR]
    assert "127.0.0.1:1 " in found.told("log")
    assert "REDIS_URL" in found.told("log")
    assert [found.of(check) for check in ("log safety", "log record", "host clock", "clock", "workers", "lag")] == [[]] * 6
    assert CANARY not in found.everything


async def test_a_wrong_password_is_told_as_one(redis_url: str, server: Redis) -> None:
    found = await look_at("log", redis_url=as_user(redis_url, "default", CANARY))
    assert "password" in found.told("log")
    assert CANARY not in found.everything


async def test_a_log_with_another_number_of_partitions_names_the_number(log: RedisEventLog, redis_url: str) -> None:
    found = await look_at("log record", redis_url=redis_url, stream_partitions=5)
    assert found.severities("log record") == [ERROR]
    assert f"STREAM_PARTITIONS={PARTITIONS}" in found.told("log record")


async def test_a_record_that_is_lost_or_older_than_the_streams_is_told(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    await server.delete(META_KEY)
    found = await look_at("log record", redis_url=redis_url)
    assert (found.severities("log record"), "is lost" in found.told("log record")) == ([ERROR], True)
    await server.hset(META_KEY, mapping={"partitions": PARTITIONS, "epoch": 1})
    await server.rename(stream_key(1), stream_key(1, 2))
    found = await look_at("log record", redis_url=redis_url)
    assert (found.severities("log record"), "of generation 2" in found.told("log record")) == ([ERROR], True)
    assert await server.hget(META_KEY, "epoch") == b"1"


@pytest.mark.parametrize(
    ("name", "unsafe"), [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")]
)
@pytest.mark.parametrize(("environment", "severity"), [("development", WARNING), ("production", ERROR)])
async def test_a_server_that_may_lose_the_log_is_a_warning_in_development_and_an_error_in_production(
    name: str, unsafe: str, environment: str, severity: Severity, redis_url: str, server: Redis
) -> None:
    await server.config_set(name, unsafe)
    found = await look_at("log safety", redis_url=redis_url, environment=environment)
    [finding] = [each for each in found.of("log safety") if each.severity]
    assert (finding.severity, finding.group) == (severity, Group.SAFE)
    assert name in finding.sentence
    assert f"CONFIG SET {name} {SAFE[name]}" in finding.remedy


@pytest.mark.parametrize(("vouched", "severity"), [(False, WARNING), (True, OK)])
async def test_a_hidden_configuration_needs_somebody_to_vouch(
    vouched: bool, severity: Severity, redis_url: str, server: Redis
) -> None:
    await server.execute_command("ACL", "SETUSER", "tenant", "on", f">{CANARY}", "~*", "&*", "+@all", "-config")
    url = as_user(redis_url, "tenant", CANARY)
    found = await look_at("log safety", redis_url=url, redis_persistence_vouched=vouched)
    [finding] = [each for each in found.of("log safety") if "CONFIG" in each.sentence]
    assert finding.severity == severity
    assert "REDIS_PERSISTENCE_VOUCHED" in finding.sentence + finding.remedy


@pytest.mark.parametrize(("share", "severity"), [(0.5, OK), (0.8, WARNING), (0.95, ERROR)])
def test_a_server_that_fills_up_is_told_before_it_refuses_appends(share: float, severity: Severity) -> None:
    [finding] = memory_findings({"used_memory": int(share * 1000), "maxmemory": 1000})
    assert (finding.severity, f"{share:.0%}" in finding.sentence) == (severity, True)


async def test_a_full_server_is_seen(redis_url: str, server: Redis) -> None:
    used = (await server.info("memory"))["used_memory"]
    await server.config_set("maxmemory", int(used / 0.93))
    found = await look_at("log safety", redis_url=redis_url)
    assert "maxmemory" in found.told("log safety")


def test_a_disk_that_failed_is_told() -> None:
    assert list(disk_findings({"aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok"})) == []
    [finding] = disk_findings({"aof_last_write_status": "err"})
    assert finding.severity is ERROR


async def test_a_clock_that_stopped_is_an_error_with_its_age(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    seconds, _ = await server.time()
    nominal = ClockTicked.model_validate({"nominal": "2026-01-01T00:00:00Z"})
    value = encode(new_event(nominal, subject=partition_subject(0), source="prosa/clock"))
    await server.xadd(stream_key(0), {b"event": value}, id=f"{(int(seconds) - 3600) * 1000}-0")
    found = await look_at("clock", redis_url=redis_url)
    assert found.severities("clock") == [ERROR]
    assert "1 h old" in found.told("clock")
    assert "faststream run handlers:clock" in found.told("clock")


async def test_a_log_without_any_tick_has_no_clock(log: RedisEventLog, redis_url: str) -> None:
    found = await look_at("clock", redis_url=redis_url)
    assert "No clock runs" in found.told("clock")


async def test_partitions_that_nobody_serves_are_named(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    nobody = await look_at("workers", redis_url=redis_url)
    assert "No worker serves any partition" in nobody.told("workers")
    await RedisLeases(server, "a", 60).claim([0, 1, 2, 4, 5, 6, 7], PARTITIONS)
    one = await look_at("workers", redis_url=redis_url)
    assert "all partitions but 3." in one.told("workers")


async def test_a_group_that_is_far_behind_is_told_with_its_number(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    await log.committed("responder")
    await log.committed("sender")
    async with server.pipeline(transaction=False) as pipeline:
        for _ in range(1001):
            pipeline.xadd(stream_key(0), {b"event": b"{}"})
        await pipeline.execute()
    found = await look_at("lag", redis_url=redis_url)
    assert found.severities("lag") == [WARNING, WARNING]
    assert "responder is 1001 events behind" in found.told("lag")


@pytest.mark.parametrize(("count", "told"), [(1, "1 event behind"), (12, "12 events behind")])
async def test_a_group_that_is_a_little_behind_is_not_called_up_to_date(
    count: int, told: str, log: RedisEventLog, redis_url: str, server: Redis
) -> None:
    """Nobody may serve: then a little is all that there is."""
    await log.committed("responder")
    await log.committed("sender")
    assert [each.sentence for each in (await look_at("lag", redis_url=redis_url)).of("lag")] == [
        "Responder and sender are up to date."
    ]
    for _ in range(count):
        await server.xadd(stream_key(0), {b"event": b"{}"})
    found = await look_at("lag", redis_url=redis_url)
    assert found.severities("lag") == [OK, OK]
    assert [told in each.sentence for each in found.of("lag")] == [True, True]


async def test_a_clock_far_from_the_logs_is_told(redis_url: str, server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr("operations.doctor.host_clock.time.time", lambda: real() + 60)
    found = await look_at("host clock", redis_url=redis_url)
    assert "60 s apart" in found.told("host clock")


async def test_a_server_that_hangs_is_a_finding_and_holds_nobody_up() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    began = asyncio.get_running_loop().time()
    found = await look(
        redis_url=f"redis://127.0.0.1:{port}/0",
        database_url=f"postgresql://127.0.0.1:{port}/x",
        public_base_url=f"http://127.0.0.1:{port}",
        metrics_port=port,
        seconds=1.0,
    )
    assert asyncio.get_running_loop().time() - began < 4
    assert found.severities("log") == found.severities("read model") == [ERROR]
    assert "no answer within 1 s" in found.told("log")
    assert found.severities("settings") == [OK]
    listener.close()


async def test_a_tick_is_found_behind_a_flood_of_events(log: RedisEventLog, redis_url: str, server: Redis) -> None:
    await tick(log)
    async with server.pipeline(transaction=False) as pipeline:
        for partition in range(PARTITIONS):
            for _ in range(1100):
                pipeline.xadd(stream_key(partition), {b"event": b"{}"})
        await pipeline.execute()
    assert (await look_at("clock", redis_url=redis_url)).severities("clock") == [OK]
