"""Creates that succeed too slowly, and refusals that say when to come back."""

import asyncio
import time

import pytest

from streams.cancellation import end
from tests.simulator.stand_in import ACCOUNT_SID, ANA, SENDER, Door, StandIn, authorization, eventually, running, settings

GOOD = {"To": ANA, "From": SENDER, "Body": "Oi"}
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


async def accepted(stand_in: StandIn) -> list[str]:
    return [entry["details"]["fault"] for entry in await stand_in.entries("message_accepted")]


async def has_arrived(stand_in: StandIn, fault: str) -> bool:
    """Whether a create has used the planned fault up, and so has arrived."""
    return bool((await stand_in.control("GET", "faults"))["create"][fault] == 0)


@pytest.mark.parametrize("fault", ["slow", "late"])
async def test_a_client_that_waits_gets_its_201(stand_in: StandIn, fault: str) -> None:
    await stand_in.break_down(create={fault: 1, "slow_seconds": 0.2})
    began = time.monotonic()
    status, message = await stand_in.create(GOOD)
    assert (status, message["status"]) == (201, "queued")
    assert time.monotonic() - began >= 0.2
    assert await accepted(stand_in) == [fault]


async def test_a_slow_message_is_taken_before_its_answer(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"slow": 1, "slow_seconds": 3600})
    creating = asyncio.create_task(stand_in.create(GOOD))
    await eventually(lambda: accepted(stand_in))
    assert await accepted(stand_in) == ["slow"]
    assert not creating.done()
    await end([creating])


async def test_a_late_message_is_taken_though_nobody_waits_any_more(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"late": 1, "slow_seconds": 2})
    creating = asyncio.create_task(stand_in.create(GOOD))
    await eventually(lambda: has_arrived(stand_in, "late"))
    await end([creating])
    assert await accepted(stand_in) == []
    await eventually(lambda: accepted(stand_in))
    assert await accepted(stand_in) == ["late"]


async def test_a_refusal_says_when_to_come_back(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"429": 1, "retry_after_seconds": 7}, listing={"429": 1, "retry_after_seconds": 8})
    async with stand_in.http.post(stand_in.url + MESSAGES, data=GOOD, headers=authorization()) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    async with stand_in.http.get(stand_in.url + MESSAGES, headers=authorization()) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "8")


async def test_a_message_fails_on_its_way_at_a_rate(door: Door) -> None:
    async with running(settings(seed=3, status_default_url=door.url)) as stand_in:
        await stand_in.write()
        await stand_in.break_down(callbacks={"fail_rates": {"63016": 0.3, "63018": 0.3}})
        sids = [(await stand_in.send(str(number))).sid for number in range(40)]
        await eventually(lambda: all({"read", "undelivered"} & set(door.statuses_of(sid)) for sid in sids))
        codes = [entry["details"]["error_code"] for entry in await stand_in.entries("status_changed")]
        failed, limited = codes.count(63016), codes.count(63018)
        assert failed > 0
        assert limited > 0
        assert failed + limited < 40
        assert await stand_in.control("GET", "tally") == {"callbacks.fail": failed + limited}
