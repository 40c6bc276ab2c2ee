"""What only the Redis engine can get wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from structlog.testing import capture_logs

from simulator.servers import free_port
from streams.engines.redis_connection import Client
from streams.engines.redis_leases import RedisLeases
from streams.engines.redis_log import META_KEY, RedisEventLog, stream_key
from streams.errors import ConfigurationError, LogMismatch, LogUnavailable, PositionOverflow, UnsafeLog
from streams.partitions import SEQUENCE_LIMIT, START
from streams.suspicion import Suspicion
from tests.streams.conftest import PARTITIONS, eventually
from tests.streams.test_conformance import HERE, event, everything

CONFIG_COMMAND_HIDDEN = ("ACL", "SETUSER", "tenant", "on", ">made-up", "~*", "&*", "+@all", "-config")


async def test_another_number_of_partitions_is_refused_and_names_the_setting(redis_url: str, redis_log: RedisEventLog) -> None:
    other = RedisEventLog(redis_url, partitions=PARTITIONS + 1)
    with pytest.raises(LogMismatch, match="STREAM_PARTITIONS"):
        await other.start()
    await other.close()


async def test_whoever_joins_an_empty_log_is_told_so_and_leaves_nothing_in_it(redis_url: str, redis: Client) -> None:
    log = RedisEventLog(redis_url, partitions=PARTITIONS)
    with pytest.raises(LogUnavailable, match="nobody has started it"):
        await log.join()
    assert await redis.dbsize() == 0
    await log.close()


async def test_whoever_joins_with_another_number_of_partitions_is_refused(redis_url: str, redis_log: RedisEventLog) -> None:
    other = RedisEventLog(redis_url, partitions=PARTITIONS + 1)
    with pytest.raises(LogMismatch, match="STREAM_PARTITIONS"):
        await other.join()
    await other.close()


async def test_a_log_once_served_in_production_says_so_to_whoever_joins_it(redis_url: str, redis_log: RedisEventLog) -> None:
    serving = RedisEventLog(redis_url, partitions=PARTITIONS, production=True, vouched=True)
    assert not redis_log.is_production
    await serving.start()
    await redis_log.join()
    assert (serving.is_production, redis_log.is_production) == (True, True)
    await redis_log.start()
    assert redis_log.is_production
    await serving.close()


async def test_whoever_looks_at_an_empty_server_leaves_it_empty(redis_url: str, redis: Client) -> None:
    log = RedisEventLog(redis_url, partitions=PARTITIONS)
    assert (await log.marks("responder"), await log.holders()) == ({}, {})
    assert await redis.dbsize() == 0
    await log.close()


async def test_the_holder_of_a_partition_is_seen_while_its_lease_lives(redis_log: RedisEventLog, redis: Client) -> None:
    leases = RedisLeases(redis, "the holder", lease_seconds=5)
    await leases.claim([1, 2], most=2)
    await leases.release(2)
    [(partition, holder)] = (await redis_log.holders()).items()
    assert (partition, holder.member) == (1, "the holder")
    assert 4 < holder.remaining_seconds <= 5


async def test_the_epoch_comes_from_the_log(redis: Client, redis_log: RedisEventLog) -> None:
    await redis.hset(META_KEY, "epoch", "7")
    await redis_log.start()
    await redis_log.append(event())
    [record] = await everything(redis_log)
    assert record.epoch == 7


async def test_a_server_that_is_away_is_unavailable_within_five_seconds() -> None:
    log = RedisEventLog(f"redis://127.0.0.1:{free_port()}/0", partitions=PARTITIONS)
    async with asyncio.timeout(5):
        for attempt in (log.start, lambda: log.append(event()), log.heads, lambda: log.read({0: 0}, limit=1, wait_seconds=1)):
            with pytest.raises(LogUnavailable, match="no connection"):
                await attempt()
    await log.close()


async def test_a_server_that_hangs_is_unavailable_within_five_seconds() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    log = RedisEventLog(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", partitions=PARTITIONS)
    async with asyncio.timeout(5):
        with pytest.raises(LogUnavailable):
            await log.append(event())
    await log.close()
    server.close()


@pytest.mark.parametrize(
    ("cause", "cure", "code"),
    [
        (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0"), "NOREPLICAS"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "READONLY"),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "OOM"),
    ],
)
async def test_a_server_that_refuses_to_write_is_unavailable_until_it_writes_again(
    redis: Client, redis_log: RedisEventLog, cause: tuple[str, ...], cure: tuple[str, ...], code: str
) -> None:
    await redis.execute_command(*cause)
    try:
        with pytest.raises(LogUnavailable, match=code):
            await redis_log.append(event())
    finally:
        await redis.execute_command(*cure)
    await redis_log.append(event())


async def test_an_append_is_sent_once_even_when_its_answer_is_lost(
    redis_url: str, redis: Client, redis_log: RedisEventLog
) -> None:
    """A proxy that forwards what we send, and cuts the connection instead of answering the XADD."""
    address = urlsplit(redis_url)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(address.hostname, address.port)
        while sent := await reader.read(65536):
            upstream_writer.write(sent)
            answer = await upstream_reader.read(65536)
            if b"XADD" in sent:
                break
            writer.write(answer)
        writer.close()
        upstream_writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    log = RedisEventLog(redis_url.replace(f":{address.port}/", f":{port}/"), partitions=PARTITIONS)
    with pytest.raises(LogUnavailable):
        await log.append(event())
    assert await redis.xlen(stream_key(HERE)) == 1
    await log.close()
    server.close()


async def test_a_sequence_that_no_position_can_name_fails_the_append_and_leaves_nothing(
    redis: Client, redis_log: RedisEventLog
) -> None:
    ahead = await redis_log.time_ms() + 3_600_000
    await redis.xadd(stream_key(HERE), {"event": "last"}, id=f"{ahead}-{SEQUENCE_LIMIT - 1}")
    with pytest.raises(PositionOverflow):
        await redis_log.append(event())
    assert [record.value for record in await everything(redis_log)] == [b"last"]


async def test_what_overflowed_is_taken_back_where_it_was_appended_though_another_append_went_over_to_a_new_generation(
    redis: Client, redis_log: RedisEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = await redis_log.time_ms() + 3_600_000
    await redis.xadd(stream_key(HERE), {"event": "last"}, id=f"{ahead}-{SEQUENCE_LIMIT - 1}")
    execute = redis_log._commands.execute_command

    async def then_go_over(*command: Any, **options: Any) -> Any:
        answer = await execute(*command, **options)
        redis_log._go_over_to(2)
        return answer

    monkeypatch.setattr(redis_log._commands, "execute_command", then_go_over)
    with pytest.raises(PositionOverflow):
        await redis_log.append(event())
    assert await redis.xlen(stream_key(HERE)) == 1


async def test_an_entry_that_no_position_can_name_is_not_in_the_log(redis: Client, redis_log: RedisEventLog) -> None:
    ahead = await redis_log.time_ms() + 3_600_000
    await redis.xadd(stream_key(HERE), {"event": "last"}, id=f"{ahead}-5")
    await redis.xadd(stream_key(HERE), {"event": "beyond"}, id=f"{ahead}-{SEQUENCE_LIMIT}")
    [record] = await everything(redis_log)
    assert (await redis_log.heads())[HERE] == record.position
    assert await redis_log.read({HERE: record.position}, limit=9, wait_seconds=0.1) == []


async def test_an_entry_of_other_fields_is_read_as_empty_bytes(redis: Client, redis_log: RedisEventLog) -> None:
    await redis.xadd(stream_key(0), {"something": "else"})
    [record] = await everything(redis_log, 0)
    assert record.value == b""


@pytest.mark.parametrize("destroy", ["group", "stream"])
async def test_a_group_that_vanished_is_made_again_with_what_was_finished(
    redis: Client, redis_log: RedisEventLog, destroy: str
) -> None:
    place = await redis_log.append(event())
    await redis_log.committed("responder")
    await (redis.xgroup_destroy(stream_key(HERE), "responder") if destroy == "group" else redis.delete(stream_key(HERE)))
    with capture_logs() as logs:
        await redis_log.commit("responder", {HERE: place.position}, {HERE: 1})
    assert [line["log_level"] for line in logs] == ["warning"]
    assert (await redis_log.committed("responder"))[HERE].position == place.position


async def test_what_processes_of_other_versions_remember_of_takeovers_is_read_as_far_as_it_is_known(
    redis: Client, redis_url: str
) -> None:
    await redis.hset("prosa:takeovers:responder", str(HERE), '{"mark": 7, "takeovers": 2, "of_another_version": 1}')
    leases = RedisLeases(redis, "member", lease_seconds=10)
    assert await leases.suspicion("responder", HERE) == Suspicion(mark=7, takeovers=2)


@pytest.fixture
async def configure(redis: Client) -> AsyncIterator[Client]:
    """Settings of the server are put back afterwards."""
    names = ("appendonly", "appendfsync", "maxmemory-policy")
    before = {name: (await redis.config_get(name))[name] for name in names}
    yield redis
    for name, value in before.items():
        await redis.config_set(name, value)

    async def is_rewritten() -> bool:
        return not (await redis.info("persistence"))["aof_rewrite_in_progress"]

    await eventually(is_rewritten)  # else the server takes 10 s to stop


SAFE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


async def start(url: str, *, production: bool, vouched: bool = False) -> None:
    log = RedisEventLog(url, partitions=PARTITIONS, production=production, vouched=vouched)
    try:
        await log.start()
    finally:
        await log.close()


async def test_production_accepts_a_safe_server(configure: Client, redis_url: str) -> None:
    for name, value in SAFE.items():
        await configure.config_set(name, value)
    await start(redis_url, production=True)


@pytest.mark.parametrize(
    ("name", "unsafe"), [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")]
)
async def test_an_unsafe_server_is_refused_in_production_and_told_aloud_in_development(
    configure: Client, redis_url: str, name: str, unsafe: str
) -> None:
    for setting, value in {**SAFE, name: unsafe}.items():
        await configure.config_set(setting, value)
    with pytest.raises(UnsafeLog, match=name):
        await start(redis_url, production=True)
    with capture_logs() as logs:
        await start(redis_url, production=False)
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_a_hidden_configuration_needs_somebody_to_vouch(redis: Client, redis_url: str) -> None:
    await redis.execute_command(*CONFIG_COMMAND_HIDDEN)
    address = urlsplit(redis_url)
    tenant = urlunsplit(address._replace(netloc=f"tenant:made-up@{address.hostname}:{address.port}"))
    try:
        with pytest.raises(UnsafeLog, match="REDIS_PERSISTENCE_VOUCHED"):
            await start(tenant, production=True)
        await start(tenant, production=True, vouched=True)
    finally:
        await redis.execute_command("ACL", "DELUSER", "tenant")


async def test_an_error_names_server_and_setting_and_neither_user_nor_password() -> None:
    log = RedisEventLog("redis://some-user:some-secret@127.0.0.1:1/0", partitions=PARTITIONS)
    with pytest.raises(LogUnavailable) as raised:
        await log.append(event())
    assert str(raised.value) == "no connection: 127.0.0.1:1 (REDIS_URL)"
    await log.close()


@pytest.mark.parametrize("option", ["unheard_of=1", "socket_timeout=soon"])
def test_an_option_that_the_driver_does_not_take_is_told_before_the_first_command(option: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        RedisEventLog(f"redis://127.0.0.1:1/0?{option}", partitions=PARTITIONS)


async def test_marks_that_nobody_counted_show_no_lag_rather_than_a_wrong_one(redis_log: RedisEventLog) -> None:
    places = [await redis_log.append(event(body=str(n))) for n in range(3)]
    await redis_log.committed("responder")
    await redis_log.commit("responder", {HERE: places[1].position})
    assert (await redis_log.committed("responder"))[HERE].lag is None
    await redis_log.commit("responder", {HERE: START})
    assert (await redis_log.committed("responder"))[HERE].lag == 3
