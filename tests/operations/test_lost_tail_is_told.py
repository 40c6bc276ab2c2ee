"""A log that lost its tail is told wherever somebody looks: the doctor, the status, a worker's readiness."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from commands.status import _shown, document
from commands.terminal import console
from handlers.groups import build_groups
from handlers.readiness import problems_of_groups, require_agreement_at_start
from operations.connection import connected
from operations.doctor.findings import Severity
from operations.status import SystemStatus, status
from settings import Settings
from streams.errors import CheckpointAhead
from streams.ownership import exit_at_once
from tests.operations.damaged_log import GROUP, LEASE_SECONDS, DamagedLog, a_damaged_log
from tests.operations.doctor.looking import look_at
from tests.projections.read_model import PARTITIONS


@pytest.fixture
async def damaged(redis_url: str, empty_database_url: str) -> AsyncIterator[DamagedLog]:
    """Folded, and whole so far."""
    async with a_damaged_log(redis_url, empty_database_url) as log:
        await log.write(3)
        await log.project()
        yield log


@pytest.fixture
def settings(redis_url: str, empty_database_url: str) -> Settings:
    given: dict[str, Any] = {"redis_url": redis_url, "database_url": empty_database_url, "stream_partitions": PARTITIONS}
    return Settings(_env_file=None, lease_seconds=LEASE_SECONDS, metrics_port=0, **given)


async def test_the_doctor_tells_it_with_the_command(damaged: DamagedLog, settings: Settings) -> None:
    given = {name: getattr(settings, name) for name in ("redis_url", "database_url", "stream_partitions")}
    assert (await look_at("lost tail", **given)).severities("lost tail") == [Severity.OK]
    await damaged.lose_tail(1, keep=2)
    found = await look_at("lost tail", **given)
    assert found.severities("lost tail") == [Severity.ERROR]
    assert "partition 1" in found.told("lost tail")
    assert "prosa repair" in found.told("lost tail")
    await damaged.repair()
    assert (await look_at("lost tail", **given)).severities("lost tail") == [Severity.OK]


async def test_the_doctor_tells_it_of_a_log_that_is_empty(damaged: DamagedLog, settings: Settings) -> None:
    given = {name: getattr(settings, name) for name in ("redis_url", "database_url", "stream_partitions")}
    await damaged.redis.flushdb()
    assert "stream is gone" in (await look_at("lost tail", **given)).told("lost tail")


@pytest.mark.parametrize("is_used_on", [False, True])
async def test_the_status_counts_no_lag_in_what_was_lost(damaged: DamagedLog, settings: Settings, is_used_on: bool) -> None:
    """The stream is gone, and a worker's last commit makes it again with a group that has read more than there ever was."""
    await damaged.mark(1, 6)
    position = (await damaged.log.heads())[1]
    await damaged.redis.delete(await damaged.key(1))
    await damaged.log.commit(GROUP, {1: position}, {1: 6})
    if is_used_on:
        await damaged.write(1)
    assert (await damaged.log.marks(GROUP))[1].lag == (None if is_used_on else 0)
    async with connected(settings) as connection:
        found = await status(connection)
    lags = document(found)["log"]["lags"]
    assert {lags[group][1]["events"] for group in ("projector", "responder", "sender")} == {None}
    assert min(each["events"] for partitions in lags.values() for each in partitions.values() if each["events"] is not None) >= 0
    assert [row.split()[1] for row in shown(found) if row.startswith(("projector", GROUP))] == ["?", "?"]


def shown(found: SystemStatus) -> list[str]:
    with console.capture() as captured:
        console.print(_shown(found))
    return captured.get().splitlines()


async def test_the_status_tells_it_also_to_who_watches(damaged: DamagedLog, settings: Settings) -> None:
    async with connected(settings) as connection:
        assert document(await status(connection))["log"]["lost"] == {}
        await damaged.lose_tail(1, keep=2)
        assert list(document(await status(connection))["log"]["lost"]) == [1]
        await damaged.repair()
        shown = document(await status(connection))
        assert (shown["problems"], shown["log"]["epoch"], shown["log"]["lost"]) == ({}, 2, {})


async def test_a_worker_tells_it_and_does_not_begin(damaged: DamagedLog, settings: Settings) -> None:
    groups = build_groups(settings, exit_at_once)
    await groups.log.start()
    try:
        await require_agreement_at_start(groups)
        await damaged.lose_tail(1, keep=2)
        with pytest.raises(CheckpointAhead, match=r"partition 1: .*prosa repair"):
            await require_agreement_at_start(groups)
        assert any("prosa repair" in problem for problem in await problems_of_groups(groups))
        await damaged.repair()
        assert any("generation 1 of the log is over" in problem for problem in await problems_of_groups(groups))
    finally:
        await groups.twilio.close()
        await groups.database.close()
        await groups.log.close()
