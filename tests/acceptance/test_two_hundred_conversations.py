"""The promise as a whole, on the real processes: every message answered, in order, nothing twice, whatever happens to workers."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.acceptance.running import PARTITIONS, QUICK, PhoneCompany, Prosa, eventually, running
from tests.harness.checker import violations
from tests.harness.history import History, from_ledger
from tests.harness.scenario import contacts_of, let_them_write

CONVERSATIONS = 200
SECONDS = 20.0
WORKERS = 3
SETTLED_SECONDS = 60.0
LAST_LINES = 80


@pytest.fixture
async def prosa(tmp_path: Path) -> AsyncIterator[Prosa]:
    async with running(Prosa(tmp_path / "a run", WORKERS, {**QUICK, "AI_MODEL": "offline"})) as prosa:
        yield prosa


async def test_every_message_is_answered_once_and_in_order_though_a_worker_is_killed_and_one_paused(prosa: Prosa) -> None:
    seed = int(os.environ.get("PROSA_TEST_SEED", secrets.randbelow(10**6)))
    contacts = contacts_of(seed, CONVERSATIONS, SECONDS)
    async with prosa.phone_company() as twilio:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(let_them_write(contacts, twilio))
            tasks.create_task(_disturb(prosa, twilio, after_replies=CONVERSATIONS // 4))
        written = time.monotonic()
        history = await _settled(prosa, twilio, sum(contact.messages for contact in contacts))
    print(_figures(history, seed, written - began, time.monotonic() - written))  # noqa: T201 - what pytest shows on failure
    found = violations(history)
    assert not found, _report(prosa, history, found)


async def _disturb(prosa: Prosa, twilio: PhoneCompany, *, after_replies: int) -> None:
    """Kill one worker and pause another, midway; wake it when its partitions have long been taken over."""

    async def is_midway() -> bool:
        return len(await twilio.ledger()) > 0 and len(from_ledger(await twilio.ledger())[1]) >= after_replies

    await eventually(is_midway, SECONDS, f"{after_replies} replies")
    before = set((await _lease_holders(prosa)).values())
    killed, paused, _ = prosa.worker_pids()
    os.kill(paused, signal.SIGSTOP)
    os.kill(killed, signal.SIGKILL)
    try:
        await eventually(lambda: _are_taken_over(prosa, before), SETTLED_SECONDS, "the partitions are taken over")
    finally:
        os.kill(paused, signal.SIGCONT)
    prosa.note_processes()


async def _are_taken_over(prosa: Prosa, before: set[str]) -> bool:
    """Of those who held the partitions before only the undisturbed one still does."""
    holders = await _lease_holders(prosa)
    return len(holders) == PARTITIONS and len(before & set(holders.values())) <= WORKERS - 2


async def _lease_holders(prosa: Prosa) -> dict[int, str]:
    """Which member holds each partition now; one whose lease has lapsed is missing."""
    async with prosa.redis() as redis:
        holders = await redis.mget([f"prosa:lease:{partition}" for partition in range(PARTITIONS)])
    return {partition: holder for partition, holder in enumerate(holders) if holder}


async def _settled(prosa: Prosa, twilio: PhoneCompany, messages: int) -> History:
    """The history once nothing is wrong with it, or as it is when the patience is over."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        history = await prosa.history(twilio)
        is_complete = len(history.written) == messages and not history.behind and not violations(history)
        if is_complete or time.monotonic() > deadline:
            assert len(history.written) == messages
            return history
        await asyncio.sleep(0.5)


def _figures(history: History, seed: int, writing: float, settling: float) -> str:
    return (
        f"seed {seed}: {len(history.written)} messages, {len(history.accepted)} sent, {len(history.replies)} replies generated, "
        f"{sum(row['status'] == 'superseded' for row in history.replies)} superseded, "
        f"written in {writing:.1f} s, settled {settling:.1f} s later"
    )


def _report(prosa: Prosa, history: History, found: Sequence[str]) -> str:
    """What was found, and the last that the processes said."""
    lines = prosa.output.splitlines()[-LAST_LINES:]
    ledger = prosa.directory / ".prosa" / "simulator.jsonl"
    return "\n".join([f"{len(found)} violations; ledger in {ledger}", *found[:40], "", *lines])
