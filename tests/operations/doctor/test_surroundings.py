"""What the doctor sees around the system: settings, `.env`, versions, disk and ports; and that one check disturbs no other."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from operations.doctor.disk import GIGABYTE, disk
from operations.doctor.examine import Check
from operations.doctor.findings import Finding, Group, Severity, error, well
from operations.doctor.system import System, opened
from operations.doctor.versions import unfit
from settings import Problem
from streams.errors import LogUnavailable
from tests.operations.doctor.looking import CANARY, look, look_at, settings

WARNING, ERROR, OK = Severity.WARNING, Severity.ERROR, Severity.OK


async def test_every_problem_of_the_settings_is_a_finding_and_what_needs_them_is_left_out() -> None:
    problems = [Problem("REDIS_URL", "has the port 0"), Problem("LEASE_SECONDS", "is not a number from 1 to 3600")]
    found = await look(problems=problems)
    assert found.severities("settings") == [ERROR, ERROR]
    assert "set LEASE_SECONDS" in found.told("settings")
    assert [found.of(check) for check in ("log", "log safety", "clock", "workers")] == [[], [], [], []]
    assert found.severities("read model") == [ERROR]


async def test_an_address_that_no_client_takes_is_told_like_any_other_problem_and_the_rest_is_looked_at() -> None:
    found = await look(redis_url=f"redis://:{CANARY}@127.0.0.1:1/0?socket_timeout={CANARY}")
    assert "REDIS_URL has an option that redis-py does not take. " in found.told("settings")
    assert found.of("log") == []
    assert found.of("read model")
    assert CANARY not in found.everything


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"twilio_timeout_seconds": 8, "lease_seconds": 10}, "set LEASE_SECONDS to 16"),
        ({"ai_request_timeout_seconds": 91}, "AI_TURN_TIMEOUT_SECONDS"),
        ({"retry_base_seconds": 31}, "RETRY_MAX_SECONDS"),
        ({"stream_engine": "kafka"}, "STREAM_ENGINE=redis"),
        ({"conversation_idle_timeout_minutes": 1441}, "CONVERSATION_EXPIRATION_MINUTES"),
    ],
)
async def test_settings_that_do_not_go_together_are_told(changes: dict[str, object], told: str) -> None:
    found = await look_at("settings", **changes)
    assert len(found.of("settings")) == 1
    assert told in found.told("settings")


async def test_the_env_file_belongs_to_us_alone_and_has_no_misspelt_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (await look_at("env file")).of("env file") == []
    file = tmp_path / ".env"
    file.write_text("REDIS_URI=redis://:geheim@h\n", encoding="utf-8")
    file.chmod(0o644)
    found = await look_at("env file")
    assert found.severities("env file") == [WARNING, WARNING]
    assert "did you mean REDIS_URL?" in found.told("env file")
    assert "chmod 600 .env" in found.told("env file")
    assert "geheim" not in found.everything
    file.write_text("REDIS_URL=redis://h\n", encoding="utf-8")
    file.chmod(0o600)
    assert (await look_at("env file")).severities("env file") == [OK]
    file.write_bytes(b"\xff")
    assert (await look_at("env file")).severities("env file") == [ERROR]


def test_a_package_that_does_not_fit_is_told_with_both_versions() -> None:
    assert unfit(Requirement("faststream>=0.7.8,<0.8")) is None
    assert unfit(Requirement("nothing-of-this-name; extra == 'dev'")) is None
    old, missing = unfit(Requirement("redis>=99")), unfit(Requirement("nothing-of-this-name"))
    assert old is not None
    assert missing is not None
    assert ">=99" in old.sentence
    assert missing.group is Group.MISSING


@pytest.mark.parametrize(("free", "severity"), [(2 * GIGABYTE, OK), (GIGABYTE // 2, WARNING), (GIGABYTE // 100, ERROR)])
async def test_a_disk_that_fills_up_is_told(
    free: int, severity: Severity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used(GIGABYTE, 0, free))
    async with opened(settings(), directory=tmp_path) as system:
        [finding] = await disk(system)
    assert finding.severity is severity


async def test_checks_run_together_each_with_its_own_deadline() -> None:
    met = asyncio.Barrier(2)

    async def meet(_: System) -> Sequence[Finding]:
        await met.wait()
        return [well(Group.SAFE, "met")]

    async def hang(_: System) -> Sequence[Finding]:
        await asyncio.Event().wait()
        return []

    async def fail(_: System) -> Sequence[Finding]:
        raise LogUnavailable("no connection: h:1 (REDIS_URL)")

    checks = [Check("a", meet), Check("hangs", hang, seconds=0.1), Check("b", meet), Check("fails", fail)]
    found = await look(checks=checks, seconds=5)
    assert [(name, finding.severity) for name, finding in found] == [("a", OK), ("hangs", ERROR), ("b", OK), ("fails", ERROR)]
    assert "no answer within 0.1 s" in found.told("hangs")
    assert "REDIS_URL" in found.told("fails")


async def test_what_follows_from_an_error_or_from_something_missing_is_left_out() -> None:
    async def wrong(_: System) -> Sequence[Finding]:
        return [error(Group.REACHABLE, "it is away", "start it")]

    async def never(_: System) -> Sequence[Finding]:
        raise AssertionError

    checks = [Check("first", wrong), Check("second", never, after=frozenset({"first"}))]
    found = await look(checks=[*checks, Check("third", never, after=frozenset({"second"}))])
    assert [name for name, _ in found] == ["first"]
