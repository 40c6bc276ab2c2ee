"""What a contact writes reaches the webhook in Twilio's form, signed."""

import asyncio
import json
from typing import Any

import pytest

from tests.simulator.stand_in import ACCOUNT_SID, ANA, SENDER, Door, StandIn, eventually, opened_door, running, settings

HIDDEN = "whatsapp:BR.1A2B3C"


async def form_of(stand_in: StandIn, door: Door, sender: str = ANA, **fields: Any) -> dict[str, str]:
    written = await stand_in.write(sender, **fields)
    assert written["webhook_status"] == 200
    post = door.posts[-1]
    assert post.form["MessageSid"] == written["sid"]
    assert post.is_signed_for(f"{door.url}/inbound")
    return post.form


async def test_a_text_has_exactly_the_fields_that_were_captured(stand_in: StandIn, door: Door) -> None:
    form = await form_of(stand_in, door, body="Olá, tudo bem? 👋")
    sid = form["MessageSid"]
    metadata = json.loads(form.pop("ChannelMetadata"))
    user_id = form.pop("ExternalUserId")
    assert user_id.startswith("whatsapp:BR.")
    assert metadata["type"] == "whatsapp"
    assert metadata["data"]["context"] == {"ProfileName": "Ana", "WaId": "5511900000001", "ExternalUserId": user_id}
    assert form == {
        "SmsMessageSid": sid,
        "NumMedia": "0",
        "ProfileName": "Ana",
        "MessageType": "text",
        "SmsSid": sid,
        "WaId": "5511900000001",
        "SmsStatus": "received",
        "Body": "Olá, tudo bem? 👋",
        "To": SENDER,
        "NumSegments": "1",
        "ReferralNumMedia": "0",
        "MessageSid": sid,
        "AccountSid": ACCOUNT_SID,
        "From": ANA,
        "ApiVersion": "2010-04-01",
    }
    assert sid.startswith("SM")


@pytest.mark.parametrize(
    ("message_type", "word", "content_type"),
    [
        ("image", "image", "image/jpeg"),
        ("voice", "audio", "audio/ogg"),
        ("audio", "audio", "audio/ogg"),
        ("video", "video", "video/mp4"),
        ("document", "document", "application/pdf"),
        ("sticker", "sticker", "image/webp"),
        ("contact", "contacts", "text/vcard"),
    ],
)
async def test_media_come_as_one_url_each(stand_in: StandIn, door: Door, message_type: str, word: str, content_type: str) -> None:
    form = await form_of(stand_in, door, type=message_type, body="")
    assert form["MessageSid"].startswith("MM")
    assert (form["MessageType"], form["NumMedia"], form["Body"]) == (word, "1", "")
    assert form["MediaContentType0"] == content_type
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{form['MessageSid']}/Media/ME"
    assert form["MediaUrl0"].startswith(stand_in.url + path)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "image", "body": "a caption"}, {"Body": "a caption", "MessageType": "image"}),
        (
            {"type": "location", "latitude": 25.018766403198, "longitude": -77.395950317383, "label": "Home", "address": "A 1"},
            {"Latitude": "25.018766403198", "Longitude": "-77.395950317383", "Label": "Home", "Address": "A 1", "Body": ""},
        ),
        (
            {"type": "button", "button_text": "Confirmar", "button_payload": "yes", "replied_sid": "MM5c"},
            {"MessageType": "button", "Body": "Confirmar", "ButtonText": "Confirmar", "ButtonPayload": "yes"},
        ),
        (
            {"type": "interactive", "body": "Confirmar"},
            {"MessageType": "interactive", "ButtonText": "Confirmar", "ButtonPayload": "Confirmar", "Forwarded": "false"},
        ),
        (
            {"type": "list", "list_title": "Pro", "list_id": "plan_pro"},
            {"MessageType": "interactive", "Body": "Pro", "ListTitle": "Pro", "ListId": "plan_pro"},
        ),
        (
            {"body": "Nice", "replied_sid": "MM3c"},
            {"MessageType": "text", "OriginalRepliedMessageSid": "MM3c", "OriginalRepliedMessageSender": SENDER},
        ),
        (
            {"body": "Oi", "referral": {"ctwa_clid": "ARAb", "source_id": "1202", "headline": "Sale"}},
            {"ReferralCtwaClid": "ARAb", "ReferralSourceId": "1202", "ReferralSourceType": "ad", "ReferralHeadline": "Sale"},
        ),
        ({"type": "hologram", "body": ""}, {"MessageType": "hologram", "NumMedia": "0", "Body": ""}),
        ({"body": "Oi", "username": "ana.souza"}, {"ProfileUsername": "ana.souza"}),
        ({"body": "Oi", "extra": {"NewField": "1", "ProfileName": "Bia"}}, {"NewField": "1", "ProfileName": "Bia"}),
    ],
)
async def test_every_type_has_its_fields(stand_in: StandIn, door: Door, fields: dict[str, Any], expected: dict[str, str]) -> None:
    form = await form_of(stand_in, door, **fields)
    assert {name: form.get(name) for name in expected} == expected


async def test_a_contact_who_hides_the_phone_is_known_by_the_user_id_alone(stand_in: StandIn, door: Door) -> None:
    form = await form_of(stand_in, door, HIDDEN, body="Oi")
    assert (form["From"], form["ExternalUserId"]) == (HIDDEN, HIDDEN)
    assert "WaId" not in form
    await stand_in.send("Olá", HIDDEN)
    assert [message["body"] for message in await stand_in.received(1, HIDDEN)] == ["Olá"]


async def test_a_fragment_is_neither_signed_nor_posted(door: Door) -> None:
    async with running(settings(inbound_url=f"{door.url}/inbound?a=1#rc=5&rp=all")) as stand_in:
        await stand_in.write(body="Oi")
        [post] = door.posts
        assert post.path == "/inbound?a=1"
        assert post.is_signed_for(f"{door.url}/inbound?a=1")
        assert not post.is_signed_for(f"{door.url}/inbound?a=1#rc=5&rp=all")


async def test_the_public_url_is_signed_and_the_local_one_posted(door: Door) -> None:
    public = "https://app.example.com"
    configuration = settings(
        inbound_url=f"{door.url}/inbound", inbound_public_url=f"{public}/inbound", rewrites={public: door.url}
    )
    async with running(configuration) as stand_in:
        await stand_in.write(body="Oi")
        await stand_in.send("Olá", status_callback=f"{public}/status?uuid=1")
        await eventually(lambda: len(door.posts) == 4)
        inbound, *statuses = door.posts
        assert inbound.is_signed_for(f"{public}/inbound")
        assert {post.path for post in statuses} == {"/status?uuid=1"}
        assert all(post.is_signed_for(f"{public}/status?uuid=1") for post in statuses)
        assert not any(post.is_signed_for(f"{door.url}/status?uuid=1") for post in statuses)


async def test_another_token_signs_otherwise(stand_in: StandIn, door: Door) -> None:
    await stand_in.write(body="Oi")
    assert not door.posts[0].is_signed_for(f"{door.url}/inbound", "another token")


async def test_copies_of_one_webhook_come_at_once_and_are_one_message(stand_in: StandIn, door: Door) -> None:
    door.script = ["hang"] * 10
    writing = asyncio.create_task(stand_in.write(body="Oi", copies=10))
    await eventually(lambda: len(door.posts) == 10)
    writing.cancel()
    assert len({post.form["MessageSid"] for post in door.posts}) == 1
    assert len({post.headers["I-Twilio-Idempotency-Token"] for post in door.posts}) == 10
    assert len(await stand_in.twilio.messages.list_async()) == 1


async def test_who_does_not_wait_gets_the_sid_at_once(stand_in: StandIn, door: Door) -> None:
    door.script = ["hang"]
    written = await stand_in.write(body="Oi", wait=False)
    assert written["webhook_status"] is None
    await eventually(lambda: [post.form["MessageSid"] for post in door.posts] == [written["sid"]])


async def test_an_inbound_message_that_failed_is_dropped_and_stays_in_the_list(stand_in: StandIn, door: Door) -> None:
    door.script = [503]
    written = await stand_in.write(body="lost")
    assert (written["webhook_status"], written["webhooks"][0]["attempts"]) == (503, 1)
    assert [message.body for message in await stand_in.twilio.messages.list_async()] == ["lost"]
    [failure] = (await stand_in.control("GET", "debugger"))["entries"]
    assert (failure["sid"], failure["details"]["error_code"]) == (written["sid"], 11217)
    assert len(door.posts) == 1


async def test_what_failed_goes_to_the_fallback_with_the_reason(door: Door) -> None:
    door.script = [500]
    async with opened_door() as second:
        configuration = settings(inbound_url=f"{door.url}/inbound#rt=1000", fallback_url=f"{second.url}/fallback")
        async with running(configuration) as stand_in:
            written = await stand_in.write(body="Oi")
            assert written["webhook_status"] == 200
            [post] = second.posts
            assert (post.form["ErrorCode"], post.form["ErrorUrl"]) == ("11217", f"{door.url}/inbound")
            assert (post.form["MessageSid"], post.form["Body"]) == (written["sid"], "Oi")
            assert post.is_signed_for(f"{second.url}/fallback")
            await stand_in.write(body="Oi")
            assert len(second.posts) == 1


async def test_an_answer_of_the_wrong_type_is_an_error_for_the_debugger_only(stand_in: StandIn, door: Door) -> None:
    door.content_type = "application/json"
    assert (await stand_in.write(body="Oi"))["webhook_status"] == 200
    [failure] = await stand_in.entries("webhook_failed")
    assert failure["details"]["error_code"] == 12300


async def test_nobody_writes_from_an_address_that_whatsapp_does_not_know(stand_in: StandIn) -> None:
    async with stand_in.http.post(f"{stand_in.url}/simulator/messages", json={"from": "+5511900000001"}) as response:
        assert response.status == 422
