"""Callbacks in another order than things happened: all at the same moment, or the last one first."""

import pytest

from simulator.settings import StageDelays
from tests.simulator.stand_in import Door, StandIn, eventually, running, settings

SLOW = StageDelays(0.1, 0.1, 0.1)


async def test_reversed_callbacks_tell_the_last_status_first(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"reversed_rate": 1.0})
    sent = await stand_in.send("Olá")
    await eventually(lambda: len(door.statuses_of(sent.sid)) == 3)
    assert door.statuses_of(sent.sid) == ["read", "delivered", "sent"]
    changes = [entry["details"]["status"] for entry in await stand_in.entries("status_changed")]
    assert changes == ["sent", "delivered", "read"]
    assert await stand_in.control("GET", "tally") == {"callbacks.reversed": 1}


async def test_callbacks_at_once_are_all_open_at_the_same_moment(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"at_once_rate": 1.0, "duplicate_rate": 1.0})
    door.script = ["hang"] * 6
    sent = await stand_in.send("Olá")
    await eventually(lambda: len(door.statuses_of(sent.sid)) == 6)
    assert sorted(door.statuses_of(sent.sid)) == sorted(["sent", "delivered", "read"] * 2)


async def test_callbacks_at_once_are_held_back_until_the_last_status(door: Door) -> None:
    async with running(settings(delays=SLOW, status_default_url=door.url)) as stand_in:
        await stand_in.write()
        await stand_in.break_down(callbacks={"at_once_rate": 1.0})
        await stand_in.send("Olá")

        async def all_are_answered() -> bool:
            return len(await stand_in.entries("webhook_answered")) == 3

        await eventually(all_are_answered)
        kinds = [entry["kind"] for entry in await stand_in.entries()]
        assert [kind for kind in kinds if kind in {"status_changed", "webhook_answered"}] == [
            *["status_changed"] * 3,
            *["webhook_answered"] * 3,
        ]


@pytest.mark.parametrize("rate", ["at_once_rate", "reversed_rate"])
async def test_what_is_held_back_is_told_of_a_message_that_fails_too(stand_in: StandIn, door: Door, rate: str) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={rate: 1.0, "fail": {"code": 63018}})
    failed = await stand_in.send("Olá")
    await eventually(lambda: door.statuses_of(failed.sid))
    assert door.statuses_of(failed.sid) == ["undelivered"]


async def test_the_ledger_names_each_callback_that_went_wrong(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"lost_rate": 1.0})
    lost = await stand_in.send("one")
    await stand_in.break_down(callbacks={"duplicate_rate": 1.0, "delay_seconds": 0.01})
    late = await stand_in.send("two")
    await eventually(lambda: len(door.statuses_of(late.sid)) == 6)
    happened = await stand_in.entries("fault_happened")
    assert {entry["details"]["fault"] for entry in happened if entry["sid"] == lost.sid} == {"callbacks.lost"}
    told = {(entry["details"]["fault"], entry["details"]["message_status"]) for entry in happened if entry["sid"] == late.sid}
    statuses = ("sent", "delivered", "read")
    assert told == {(fault, status) for fault in ("callbacks.duplicate", "callbacks.late") for status in statuses}
