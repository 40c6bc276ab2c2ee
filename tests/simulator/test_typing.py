"""The typing indicator, by form and by JSON."""

import pytest

from tests.simulator.stand_in import StandIn, authorization


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_typing_is_shown_until_a_message_arrives_and_marks_as_read(stand_in: StandIn, version: str) -> None:
    sid = (await stand_in.write(body="Oi"))["sid"]
    await show_typing(stand_in, version, sid)
    phone = await stand_in.phone()
    assert (phone["is_typing_shown"], phone["sent"][0]["is_read"]) == (True, True)
    await stand_in.send("Olá")
    await stand_in.received(1)
    assert not (await stand_in.phone())["is_typing_shown"]


async def show_typing(stand_in: StandIn, version: str, sid: str) -> None:
    if version == "v2":
        indicator = await stand_in.twilio.messaging.v2.typing_indicator.create_async(channel="whatsapp", message_id=sid)
        assert indicator.success
        return
    fields = {"channel": "WHATSAPP", "messageId": sid}
    async with stand_in.http.post(f"{stand_in.url}/v3/Indicators/Typing.json", json=fields, headers=authorization()) as response:
        assert await response.json() == {"success": True}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"channel": "whatsapp", "messageId": "SM" + "0" * 32}, 404),
        ({"channel": "sms", "messageId": "SM" + "0" * 32}, 400),
        ({"channel": "whatsapp"}, 404),
    ],
)
async def test_typing_for_an_unknown_message_is_refused(stand_in: StandIn, fields: dict[str, str], status: int) -> None:
    url = f"{stand_in.url}/v2/Indicators/Typing.json"
    async with stand_in.http.post(url, data=fields, headers=authorization()) as response:
        assert response.status == status


async def test_typing_for_our_own_message_is_refused(stand_in: StandIn) -> None:
    await stand_in.write()
    sent = await stand_in.send("Olá")
    fields = {"channel": "whatsapp", "messageId": sent.sid}
    url = f"{stand_in.url}/v2/Indicators/Typing.json"
    async with stand_in.http.post(url, data=fields, headers=authorization()) as response:
        assert response.status == 404
