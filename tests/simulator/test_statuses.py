"""The way of a message to the phone, and the callbacks that tell of it."""

import asyncio

import pytest

from simulator.settings import StageDelays
from tests.simulator.stand_in import ACCOUNT_SID, ANA, SENDER, Door, StandIn, eventually, running, settings


async def test_a_message_is_sent_delivered_and_read_and_each_is_called_back_once(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    sent = await stand_in.send("Olá")
    await eventually(lambda: len(door.statuses_of(sent.sid)) >= 3)
    assert sorted(door.statuses_of(sent.sid)) == ["delivered", "read", "sent"]
    changes = [entry["details"]["status"] for entry in await stand_in.entries("status_changed")]
    assert changes == ["sent", "delivered", "read"]
    fetched = await stand_in.twilio.messages(sent.sid).fetch_async()
    assert (fetched.status, fetched.date_sent is not None) == ("read", True)


async def test_a_callback_is_signed_and_has_the_fields_of_its_status(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    sent = await stand_in.send("Olá")
    callbacks = await eventually(lambda: door.posts[1:] if len(door.posts) == 4 else [])
    assert all(post.is_signed_for(f"{door.url}/status") for post in callbacks)
    forms = {post.form.pop("MessageStatus"): post.form for post in callbacks}
    common = {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "ChannelInstallSid": forms["sent"]["ChannelInstallSid"],
        "ChannelPrefix": "whatsapp",
        "ChannelToAddress": "+551190000XXXX",
        "From": SENDER,
        "MessageSid": sent.sid,
        "SmsSid": sent.sid,
        "To": ANA,
    }
    assert forms["sent"] == {**common, "SmsStatus": "sent", "StructuredMessage": "false"}
    assert forms["delivered"] == {**common, "SmsStatus": "delivered", "EventType": "DELIVERED"}
    assert forms["read"] == {**common, "SmsStatus": "read", "EventType": "READ"}
    assert common["ChannelInstallSid"].startswith("XE")


async def test_a_callback_of_its_own_beats_the_default(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    url = f"{door.url}/own?thread=abc&attempt=1"
    await stand_in.send("Olá", status_callback=url + "#rc=2")
    callbacks = await eventually(lambda: door.posts[1:] if len(door.posts) == 4 else [])
    assert {post.path for post in callbacks} == {"/own?thread=abc&attempt=1"}
    assert all(post.is_signed_for(url) for post in callbacks)


async def test_a_closed_window_is_accepted_and_fails_later(stand_in: StandIn, door: Door) -> None:
    sent = await stand_in.send("Olá")
    assert sent.status == "queued"
    [callback] = await eventually(lambda: door.posts)
    assert (callback.form["MessageStatus"], callback.form["ErrorCode"]) == ("undelivered", "63016")
    assert callback.form["EventType"] == "UNDELIVERED"
    assert callback.form["ErrorMessage"]
    fetched = await stand_in.twilio.messages(sent.sid).fetch_async()
    assert (fetched.status, fetched.error_code) == ("undelivered", 63016)
    assert (await stand_in.phone())["received"] == []


async def test_the_window_closes_after_its_hours(door: Door) -> None:
    async with running(settings(window_hours=0, status_default_url=door.url)) as stand_in:
        await stand_in.write()
        assert not (await stand_in.phone())["has_open_window"]
        await stand_in.send("Olá")
        [callback] = await eventually(lambda: door.posts)
        assert callback.form["ErrorCode"] == "63016"


@pytest.mark.parametrize("code", [63016, 63018])
async def test_a_planned_failure_hits_the_next_messages_and_no_more(stand_in: StandIn, door: Door, code: int) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"fail": {"code": code, "n": 1}})
    failed, passed = await stand_in.send("one"), await stand_in.send("two")
    assert [message["body"] for message in await stand_in.received(1)] == ["two"]
    await eventually(lambda: "read" in door.statuses_of(passed.sid))
    assert door.statuses_of(failed.sid) == ["undelivered"]
    assert (await stand_in.twilio.messages(failed.sid).fetch_async()).error_code == code


async def test_nothing_is_read_without_read_receipts(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"read_receipts": False})
    unread = await stand_in.send("one")
    await stand_in.break_down()
    await stand_in.control("POST", f"phones/{ANA}", {"has_read_receipts": False})
    unread_too = await stand_in.send("two")
    await stand_in.control("POST", f"phones/{ANA}", {"has_read_receipts": True})
    read = await stand_in.send("three")
    await eventually(lambda: "read" in door.statuses_of(read.sid))
    assert sorted(door.statuses_of(unread.sid)) == sorted(door.statuses_of(unread_too.sid)) == ["delivered", "sent"]


async def test_a_door_that_hangs_delays_no_message(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    door.script = ["hang"] * 3
    sent = await stand_in.send("Olá")
    await stand_in.received(1)
    await eventually(lambda: len(door.statuses_of(sent.sid)) == 3)


async def test_messages_arrive_in_the_order_of_their_acceptance(door: Door) -> None:
    async with running(settings(delays=StageDelays(0.001, 0.001, 0.001))) as stand_in:
        await stand_in.write()
        accepted = [(await stand_in.send(str(number))).sid for number in range(30)]
        accepted += [message.sid for message in await asyncio.gather(*[stand_in.send(str(number)) for number in range(20)])]
        received = [message["sid"] for message in await stand_in.received(50)]
        order = [entry["sid"] for entry in await stand_in.entries("message_accepted")]
        assert (received[:30], received) == (accepted[:30], order)


async def test_lost_callbacks_are_not_posted_and_the_ledger_says_so(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"lost_rate": 1.0})
    await stand_in.send("Olá")
    lost = await eventually(lambda: stand_in.entries("callback_lost"))
    assert {entry["details"]["message_status"] for entry in lost} <= {"sent", "delivered", "read"}
    assert [post.path for post in door.posts] == ["/inbound"]


async def test_doubled_callbacks_are_posted_twice(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"duplicate_rate": 1.0})
    sent = await stand_in.send("Olá")
    await eventually(lambda: len(door.statuses_of(sent.sid)) == 6)
    assert sorted(door.statuses_of(sent.sid)) == ["delivered", "delivered", "read", "read", "sent", "sent"]


async def test_late_callbacks_come_after_the_message(stand_in: StandIn, door: Door) -> None:
    await stand_in.write()
    await stand_in.break_down(callbacks={"delay_seconds": 3600})
    sent = await stand_in.send("Olá")
    await stand_in.received(1)
    assert door.statuses_of(sent.sid) == []
