"""Faults on purpose: what the client sees, and whether a message is left behind."""

import asyncio
from errno import ECONNRESET

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]

from simulator.draws import Faults
from simulator.faults import CallbackFaults, CreateFault, CreateFaults, FaultPlan, InboundFaults
from streams.cancellation import end
from tests.simulator.stand_in import ANA, DEADLINE_SECONDS, SENDER, StandIn, eventually

GOOD = {"To": ANA, "From": SENDER, "Body": "Oi"}


async def has_met(stand_in: StandIn, fault: str, accepted: int) -> bool:
    """Whether a create has met the fault, and so many were accepted."""
    return f"create.{fault}" in await stand_in.control("GET", "tally") and len(await sids(stand_in)) >= accepted


async def sids(stand_in: StandIn) -> list[str]:
    return [entry["sid"] for entry in await stand_in.entries("message_accepted")]


async def test_too_many_requests_leave_nothing_behind(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"429": 2})
    for _ in range(2):
        with pytest.raises(TwilioRestException) as refusal:
            await stand_in.send()
        assert (refusal.value.status, refusal.value.code) == (429, 20429)
    assert await sids(stand_in) == []
    sent = await stand_in.send()
    assert await sids(stand_in) == [sent.sid]
    assert [entry["details"]["reason"] for entry in await stand_in.entries("message_refused")] == ["429", "429"]


@pytest.mark.parametrize(("fault", "count"), [("500_before", 0), ("500_after", 1)])
async def test_an_error_comes_before_or_after_the_acceptance(stand_in: StandIn, fault: str, count: int) -> None:
    await stand_in.break_down(create={fault: 1})
    status, error = await stand_in.create(GOOD)
    assert (status, error["code"]) == (500, 20500)
    assert len(await sids(stand_in)) == count


@pytest.mark.parametrize(("fault", "count"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_connection_is_reset_before_or_after_the_acceptance(stand_in: StandIn, fault: str, count: int) -> None:
    await stand_in.break_down(create={fault: 1})
    with pytest.raises(aiohttp.ClientOSError) as broken:
        await stand_in.create(GOOD)
    assert broken.value.errno == ECONNRESET
    assert len(await sids(stand_in)) == count
    assert (await stand_in.create(GOOD))[0] == 201


@pytest.mark.parametrize(("fault", "count"), [("hang_before", 0), ("hang_after", 1)])
async def test_a_create_hangs_before_or_after_the_acceptance(stand_in: StandIn, fault: str, count: int) -> None:
    await stand_in.break_down(create={fault: 1})
    creating = asyncio.create_task(stand_in.create(GOOD))
    await eventually(lambda: has_met(stand_in, fault, count))
    assert not creating.done()
    await end([creating])
    assert len(await sids(stand_in)) == count
    assert (await stand_in.create(GOOD))[0] == 201


async def test_a_hanging_create_is_reset_in_the_end(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"hang_after": 1, "hang_seconds": 0.1})
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(aiohttp.ClientOSError):
            await stand_in.create(GOOD)


async def test_what_was_accepted_without_an_answer_arrives_and_is_called_back(stand_in: StandIn) -> None:
    await stand_in.write()
    await stand_in.break_down(create={"500_after": 1})
    assert (await stand_in.create(GOOD))[0] == 500
    [received] = await stand_in.received(1)
    assert [received["sid"]] == await sids(stand_in)
    [accepted] = await stand_in.entries("message_accepted")
    assert accepted["details"]["fault"] == "500_after"


async def test_a_rejection_has_the_code_that_was_asked_for(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"reject": {"code": 63038, "status": 429, "n": 1}})
    status, error = await stand_in.create(GOOD)
    assert (status, error["code"]) == (429, 63038)
    assert (await stand_in.create(GOOD))[0] == 201


async def test_a_refused_create_uses_up_no_fault_that_follows_an_acceptance(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"500_after": 1})
    assert (await stand_in.create({**GOOD, "Body": ""}))[0] == 400
    assert (await stand_in.create(GOOD))[0] == 500


async def test_a_new_plan_replaces_the_old_one_and_shows_what_is_left(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"429": 3}, listing_delay_seconds=5)
    await stand_in.create(GOOD)
    left = await stand_in.control("GET", "faults")
    assert (left["create"]["429"], left["listing_delay_seconds"]) == (2, 5)
    await stand_in.break_down()
    assert (await stand_in.create(GOOD))[0] == 201


@pytest.mark.parametrize("plan", [{"create": {"430": 1}}, {"create": {"429": -1}}, {"callbacks": {"lost_rate": 2}}, {"x": 1}])
async def test_a_plan_that_is_not_understood_is_refused(stand_in: StandIn, plan: dict[str, object]) -> None:
    async with stand_in.http.post(f"{stand_in.url}/simulator/faults", json=plan) as response:
        assert response.status == 422


async def test_the_ledger_counts_each_fault_under_its_name(stand_in: StandIn) -> None:
    await stand_in.break_down(create={"429": 1, "500_before": 1, "500_after": 2, "reject": {"code": 21211, "n": 1}})
    for _ in range(6):
        await stand_in.create(GOOD)
    expected = {"create.429": 1, "create.500_before": 1, "create.reject": 1, "create.500_after": 2}
    assert await stand_in.control("GET", "tally") == expected
    after = [
        entry["sid"] for entry in await stand_in.entries("fault_happened") if entry["details"]["fault"] == "create.500_after"
    ]
    assert after == (await sids(stand_in))[:2]


async def test_a_seed_in_the_plan_begins_the_draws_anew(stand_in: StandIn) -> None:
    planned = {"seed": 8, "create": {"rates": {"500_before": 0.5, "500_after": 0.5}}}
    runs = []
    for _ in range(2):
        await stand_in.break_down(**planned)
        runs.append([(await stand_in.create(GOOD))[0] for _ in range(20)])
    assert runs[0] == runs[1]
    assert {201, 500} == set(runs[0])
    assert (await stand_in.control("GET", "faults"))["seed"] is None


def test_how_often_one_part_draws_changes_no_other() -> None:
    plan = FaultPlan.model_validate({"create": {"rates": {"500_after": 0.5}}, "model": {"rates": {"500": 0.5}}})
    quiet, busy = Faults(1), Faults(1)
    quiet.plan = busy.plan = plan
    alone = [quiet.draw_after_create() for _ in range(30)]
    together = []
    for _ in range(30):
        busy.draw_model()
        busy.draw_callback()
        busy.draw_inbound(3)
        together.append(busy.draw_after_create())
    assert together == alone
    assert len(set(alone)) == 2


def draws(seed: int) -> list[object]:
    faults = Faults(seed)
    faults.plan = FaultPlan(
        create=CreateFaults(rates={CreateFault.ERROR_AFTER: 0.5, CreateFault.RESET_AFTER: 0.5}),
        callbacks=CallbackFaults(lost_rate=0.3, duplicate_rate=0.3, jitter_seconds=1, reversed_rate=0.3, fail_rates={63016: 0.3}),
        inbound=InboundFaults(lost_rate=0.3, duplicate_rate=0.3, replay_rate=0.3),
    )
    return [
        (faults.draw_after_create(), faults.draw_callback(), faults.draw_inbound(9), faults.draw_order(), faults.draw_failure())
        for _ in range(50)
    ]


def test_the_same_seed_breaks_the_same_things() -> None:
    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_rates_leave_the_other_side_of_the_acceptance_alone() -> None:
    faults = Faults(0)
    faults.plan = FaultPlan(create=CreateFaults(rates={CreateFault.ERROR_AFTER: 1.0}))
    assert faults.draw_before_create() is None
    assert faults.draw_after_create() is CreateFault.ERROR_AFTER
