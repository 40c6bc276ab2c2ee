"""What no client may say: it is refused before anything is recorded, and never said back."""

from typing import Any

import pytest

from tests.simulator.stand_in import ACCOUNT_SID, ANA, SENDER, StandIn, authorization, running, settings

LONE = r"x \ud800 y"
SECRET = "what-only-the-sender-knows"
MARK = {"X-Requested-With": "phone"}


async def post(stand_in: StandIn, path: str, body: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json", **MARK}
    async with stand_in.http.post(f"{stand_in.url}{path}", data=body.encode(), headers=headers) as response:
        return response.status, await response.text()


async def is_whole(stand_in: StandIn) -> bool:
    """Nothing was recorded, and everything can be listed."""
    async with stand_in.http.get(
        f"{stand_in.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", headers=authorization()
    ) as got:
        assert got.status == 200
    await stand_in.phone()
    return await stand_in.entries() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/simulator/messages", f'{{"from": "{ANA}", "body": "{LONE}"}}'),
        ("/simulator/messages", f'{{"from": "{ANA}", "profile_name": "{LONE}"}}'),
        ("/simulator/messages", f'{{"from": "{ANA}", "referral": {{"headline": "{LONE}"}}}}'),
        ("/simulator/messages", f'{{"from": "{ANA}", "extra": {{"Body": "{LONE}"}}}}'),
        ("/simulator/messages", f'{{"from": "{ANA}", "extra": {{"{LONE}": "Oi"}}}}'),
        ("/simulator/messages", f'{{"from": "{ANA}", "{LONE}": "Oi"}}'),
        ("/simulator/faults", f'{{"{LONE}": 1}}'),
        ("/phone/messages", f'{{"contact": "{ANA}", "name": "Ana", "press": "text", "text": "{LONE}"}}'),
        ("/phone/receipts", f'{{"contact": "{LONE}", "has_read_receipts": false}}'),
    ],
)
async def test_half_a_character_is_refused_before_it_is_recorded(stand_in: StandIn, path: str, body: str) -> None:
    assert (await post(stand_in, path, body))[0] == 422
    assert await is_whole(stand_in)


async def test_half_a_character_in_a_template_is_refused() -> None:
    async with running(settings(templates={"HX1": "Oi {{1}}"})) as stand_in:
        form = {"To": ANA, "From": SENDER, "ContentSid": "HX1", "ContentVariables": f'{{"1": "{LONE}"}}'}
        status, answer = await stand_in.create(form)
        assert (status, answer["code"]) == (400, 21656)


async def test_a_whole_character_of_two_halves_passes(stand_in: StandIn) -> None:
    assert (await post(stand_in, "/simulator/messages", f'{{"from": "{ANA}", "body": "\\ud83d\\ude00"}}'))[0] == 200
    assert [written["body"] for written in (await stand_in.phone())["sent"]] == ["\U0001f600"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/simulator/messages", f'{{{{"from": "{ANA}", "type": "location", "latitude": {{}}}}}}'),
        ("/simulator/messages", f'{{{{"from": "{ANA}", "copies": {{}}}}}}'),
        ("/simulator/faults", '{{"callbacks": {{"delay_seconds": {}}}}}'),
        ("/simulator/faults", '{{"create": {{"rates": {{"429": {}}}}}}}'),
        ("/simulator/faults", '{{"create": {{"reject": {{"code": {}}}}}}}'),
        ("/phone/clock", '{{"minutes": {}}}'),
    ],
)
async def test_what_is_no_finite_number_is_refused(stand_in: StandIn, path: str, body: str, number: str) -> None:
    assert (await post(stand_in, path, body.format(number)))[0] == 422
    assert await is_whole(stand_in)


@pytest.mark.parametrize(
    "media",
    [
        {"content_type": "text/html\r\nSet-Cookie: a=b"},
        {"content_type": "image/png\n"},
        {"content_type": "image/pñg"},
        {"content_type": "image/\u2028"},
        {"content_type": "image"},
        {"content_type": ""},
        {"content_type": "image/" + "p" * 300},
        {"content_type": "image/png", "content": "AAAAA"},
    ],
    ids=ascii,
)
async def test_media_that_are_none_are_refused(stand_in: StandIn, media: dict[str, str]) -> None:
    async with stand_in.http.post(f"{stand_in.url}/simulator/messages", json={"from": ANA, "media": media}) as response:
        assert response.status == 422
    assert await is_whole(stand_in)


@pytest.mark.parametrize("content_type", ["image/png", "audio/ogg; codecs=opus", "application/vnd.ms-excel", "image/svg+xml"])
async def test_what_phones_send_are_media(stand_in: StandIn, content_type: str) -> None:
    await stand_in.write(media={"content_type": content_type, "content": "AAAA"})
    assert [written["media"] for written in (await stand_in.phone())["sent"]] == [[content_type]]


@pytest.mark.parametrize(
    "body",
    [
        {"from": SECRET},
        {"from": ANA, SECRET: 1},
        {"from": ANA, "extra": {SECRET: 1}},
        {"from": ANA, "referral": {SECRET: 1}},
        {"from": ANA, "copies": SECRET},
        {"from": ANA, "body": [SECRET]},
        [SECRET],
    ],
)
async def test_a_refusal_names_the_field_and_does_not_say_the_rest_back(stand_in: StandIn, body: Any) -> None:
    async with stand_in.http.post(f"{stand_in.url}/simulator/messages", json=body) as response:
        assert response.status == 422
        assert SECRET not in await response.text()
        assert (await response.json())["detail"][0]["loc"][0] == "body"


async def test_what_is_no_json_is_not_said_back(stand_in: StandIn) -> None:
    status, answer = await post(stand_in, "/simulator/messages", f'{{"from": {SECRET}')
    assert (status, SECRET in answer) == (422, False)
