"""Webhook, handlers and clock, as production runs them: with no embedded part, whatever is down, and to an orderly end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from simulator.servers import EmbeddedPostgres, EmbeddedValkey, free_port
from streams.errors import EX_CONFIG, UnsafeLog
from tests.acceptance.missing import without
from tests.acceptance.running import PhoneCompany, clean_environment, eventually, prosa
from tests.acceptance.services import ACCOUNT, EMBEDDED, SECONDS, STOP_SECONDS, TOKEN, Service, Services

CONTACT = "whatsapp:+5511955554444"
QUICK = {"REPLY_QUIET_SECONDS": "0.1", "LEASE_SECONDS": "2", "TWILIO_TIMEOUT_SECONDS": "1"}
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "a secret key of thirty-two characters or more",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "PUBLIC_BASE_URL": "https://prosa.example.com",
}
IN_ORDER = {"webhook": 0, "handlers": 0, "clock": 0, "simulator": 0}
"""Exit codes."""
COMMANDS = {
    "webhook": ("uvicorn", "webhook:app", "--port", "0"),
    "handlers": ("faststream", "run", "handlers:app"),
    "workers": ("faststream", "run", "handlers:app", "--workers", "2"),
    "clock": ("faststream", "run", "handlers:clock"),
}


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedValkey, EmbeddedPostgres]]:
    """Not started yet, but with the addresses that they will have."""
    valkey, postgres = (
        EmbeddedValkey(tmp_path / "valkey", free_port()),
        EmbeddedPostgres(tmp_path / "postgres", free_port()),
    )
    for server in (valkey, postgres):
        server.directory.own()
        server.directory.ensure_password()
    yield valkey, postgres
    postgres.stop()
    valkey.stop()


async def is_answered(twilio: PhoneCompany, body: str) -> None:
    async def look() -> bool:
        return any(f"“{body}”" in message["body"] for message in await twilio.received(CONTACT))

    await eventually(look, SECONDS, f"an answer to {body}")


async def test_in_production_a_message_is_answered_and_the_end_is_in_order(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url, **without(EMBEDDED, tmp_path / "site"))
    urls = {"REDIS_URL": redis_url, "DATABASE_URL": database_url}
    services = Services(tmp_path / "run", {**QUICK, **PRODUCTION, **urls}, PRODUCTION["PUBLIC_BASE_URL"])

    async def all_have_started() -> bool:
        return services.handlers.output.count('"started"') == 3

    async with services.running() as twilio:
        await services.webhook_is_ready()
        await eventually(all_have_started, SECONDS, "each worker has told that it started")
        await twilio.write(CONTACT, "canary-body", copies=3)
        await is_answered(twilio, "canary-body")
        ended = await services.stop()
    assert {name: code for name, (code, _) in ended.items()} == IN_ORDER
    assert max(seconds for _, seconds in ended.values()) < STOP_SECONDS
    lines = [json.loads(line) for service in services.ours for line in service.output.splitlines()]
    processes = ["clock", "handlers 1", "handlers 2", "handlers 3", "webhook"]
    assert sorted({line["process"] for line in lines}) == processes
    assert sorted(line["process"] for line in lines if line["event"] == "stopped") == processes
    for canary in ("canary-body", CONTACT.partition("+")[2], TOKEN, PRODUCTION["SECRET_KEY"]):
        assert canary not in json.dumps(lines)


async def test_they_wait_for_whatever_is_missing_and_go_on_when_it_is_there(
    servers: tuple[EmbeddedValkey, EmbeddedPostgres], tmp_path: Path
) -> None:
    """First the log, then the tables, then the whole database."""
    valkey, postgres = servers
    postgres.start()
    services = Services(tmp_path / "run", {**QUICK, "REDIS_URL": valkey.url, "DATABASE_URL": postgres.url})
    async with services.running() as twilio:
        await services.handlers.says("outage begun")
        await services.clock.says("outage begun")
        await services.webhook.says("log not reached")
        await services.webhook_is_ready(status=503)

        valkey.start()
        await services.webhook_is_ready()
        await twilio.write(CONTACT, "before the tables")
        await services.handlers.says("run: prosa migrate")
        await prosa("migrate", directory=tmp_path, DATABASE_URL=postgres.url)
        await is_answered(twilio, "before the tables")

        postgres.stop()
        await twilio.write(CONTACT, "without a database")
        postgres.start()
        await is_answered(twilio, "without a database")

        valkey.stop()
        await services.webhook_is_ready(status=503)
        ended = await services.stop()
    assert {name: code for name, (code, _) in ended.items()} == IN_ORDER
    assert max(seconds for _, seconds in ended.values()) < STOP_SECONDS
    assert [service.name for service in services.ours if "Traceback" in service.output] == []
    assert [len(service.output.splitlines()) < 300 for service in services.ours] == [True] * 3


@pytest.mark.parametrize("name", COMMANDS)
async def test_asked_to_stop_while_they_still_wait_they_do(name: str, tmp_path: Path) -> None:
    urls = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    environment = clean_environment(**urls, METRICS_PORT="0")
    service = Service(name, COMMANDS[name], environment, tmp_path)
    service.start()
    await service.says("log not reached" if name == "webhook" else "outage begun")
    assert service.process is not None
    service.process.terminate()
    assert await service.exit_code() == IN_ORDER.get(name, 0)
    assert "Traceback" not in service.output


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_missing_setting_in_production_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    environment = clean_environment(**{**PRODUCTION, "SECRET_KEY": "canary-too-short", "TWILIO_AUTH_TOKEN": ""})
    service = Service(name, COMMANDS[name], environment, tmp_path)
    service.start()
    assert await service.exit_code() == EX_CONFIG
    [line] = service.output.splitlines()
    assert line.startswith("prosa ")
    assert "SECRET_KEY" in line
    assert "TWILIO_AUTH_TOKEN" in line
    assert "canary" not in line


async def test_a_worker_that_finds_the_settings_wrong_stops_its_supervisor_and_the_other_workers(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    """A supervisor that started them again for ever would hide it."""
    urls = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "METRICS_PORT": "0"}
    first = Service("clock", COMMANDS["clock"], clean_environment(**urls, STREAM_PARTITIONS="4"), tmp_path)
    first.start()
    await first.says("started")
    workers = Service("workers", COMMANDS["workers"], clean_environment(**urls, STREAM_PARTITIONS="8"), tmp_path)
    workers.start()
    assert await workers.exit_code() == EX_CONFIG
    assert "STREAM_PARTITIONS" in workers.output
    assert "Traceback" not in workers.output
    assert first.process is not None
    first.process.terminate()
    assert await first.exit_code() == 0


async def test_workers_that_find_the_log_unsafe_end_with_their_supervisor_as_one_process_alone_does(
    servers: tuple[EmbeddedValkey, EmbeddedPostgres], tmp_path: Path
) -> None:
    valkey, _ = servers
    valkey.start()
    async with Redis.from_url(valkey.url) as redis:
        await redis.config_set("appendfsync", "everysec")
    urls = {"REDIS_URL": valkey.url, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "METRICS_PORT": "0"}
    for name in ("handlers", "workers", "clock"):
        service = Service(name, COMMANDS[name], clean_environment(**PRODUCTION, **urls), tmp_path)
        service.start()
        assert await service.exit_code() == UnsafeLog.exit_code, name
        assert "appendfsync" in service.output
        assert "Traceback" not in service.output
