"""Redaction and deletion, as Twilio offers them."""

import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]

from simulator.settings import StageDelays
from tests.simulator.stand_in import StandIn, running, settings


async def test_a_redacted_message_keeps_everything_but_its_text(stand_in: StandIn) -> None:
    sid = (await stand_in.write(body="a secret"))["sid"]
    redacted = await stand_in.twilio.messages(sid).update_async(body="")
    assert (redacted.body, redacted.sid, redacted.status) == ("", sid, "received")
    assert (await stand_in.twilio.messages(sid).fetch_async()).body == ""


async def test_only_an_empty_body_may_be_given(stand_in: StandIn) -> None:
    sid = (await stand_in.write(body="true"))["sid"]
    with pytest.raises(TwilioRestException) as refusal:
        await stand_in.twilio.messages(sid).update_async(body="false")
    assert refusal.value.status == 400


async def test_a_deleted_message_is_gone_and_stays_in_the_ledger(stand_in: StandIn) -> None:
    sid = (await stand_in.write(body="Olá"))["sid"]
    assert await stand_in.twilio.messages(sid).delete_async()
    assert await stand_in.twilio.messages.list_async() == []
    with pytest.raises(TwilioRestException) as missing:
        await stand_in.twilio.messages(sid).fetch_async()
    assert (missing.value.status, missing.value.code) == (404, 20404)
    assert [message["sid"] for message in (await stand_in.phone())["sent"]] == [sid]


async def test_a_message_on_its_way_can_be_neither_redacted_nor_deleted() -> None:
    async with running(settings(delays=StageDelays(sent_seconds=60))) as stand_in:
        await stand_in.write()
        sent = await stand_in.send()
        for change in (
            stand_in.twilio.messages(sent.sid).delete_async(),
            stand_in.twilio.messages(sent.sid).update_async(body=""),
        ):
            with pytest.raises(TwilioRestException) as refusal:
                await change
            assert (refusal.value.status, refusal.value.code) == (409, 20009)
