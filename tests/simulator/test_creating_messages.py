"""A create is accepted or refused as Twilio does it."""

from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]

from simulator.creation import checked_draft
from simulator.errors import RestError
from simulator.settings import ApiKey
from tests.simulator.stand_in import ACCOUNT_SID, ANA, AUTH_TOKEN, SENDER, Door, StandIn, eventually, running, settings

SERVICE = "MG" + "2" * 32
TEMPLATE = "HX" + "3" * 32
GOOD = {"To": ANA, "From": SENDER, "Body": "Oi"}


async def test_the_twilio_client_creates_a_message_and_fetches_it_again(stand_in: StandIn) -> None:
    await stand_in.write(body="Olá")
    created = await stand_in.send("Olá, Ana 👋")
    assert created.sid.startswith("SM")
    assert (created.status, created.direction, created.body) == ("queued", "outbound-api", "Olá, Ana 👋")
    fetched = await stand_in.twilio.messages(created.sid).fetch_async()
    assert (fetched.sid, fetched.from_, fetched.to) == (created.sid, SENDER, ANA)


async def test_a_created_message_has_the_full_shape_of_the_resource(stand_in: StandIn) -> None:
    status, message = await stand_in.create(GOOD)
    assert status == 201
    uri = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message['sid']}"
    assert parsedate_to_datetime(message.pop("date_created")).tzinfo is not None
    assert message.pop("date_updated").endswith(" +0000")
    assert message == {
        "account_sid": ACCOUNT_SID,
        "api_version": "2010-04-01",
        "body": "Oi",
        "date_sent": None,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": SENDER,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": None,
        "sid": message["sid"],
        "status": "queued",
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": ANA,
        "uri": f"{uri}.json",
    }


async def test_a_message_with_media_is_named_for_it(stand_in: StandIn) -> None:
    _, message = await stand_in.create({**GOOD, "MediaUrl": "https://example.com/a.png?size=2"})
    assert message["sid"].startswith("MM")
    assert message["num_media"] == "1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "whatsapp:5511900000001"}, 21211),
        ({"To": "whatsapp: 5511900000001"}, 21211),
        ({"To": "whatsapp:+55(11)90000"}, 21211),
        ({"To": "+5511900000001"}, 21910),
        ({"To": SENDER}, 63031),
        ({"From": ""}, 21603),
        ({"From": "+14155550000"}, 21606),
        ({"From": "whatsapp:+14155550000"}, 63007),
        ({"MessagingServiceSid": "MG" + "9" * 32}, 21701),
        ({"Body": "x" * 1601}, 21617),
        ({"Body": "👋" * 801}, 21617),
        ({"Body": ""}, 21602),
        ({"Body": "  \n"}, 21602),
        ({"Body": "", "From": "", "MessagingServiceSid": SERVICE}, 21619),
        ({"MediaUrl": "not a url"}, 21620),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"ContentSid": TEMPLATE, "ContentVariables": "{1: Ana}"}, 21656),
        ({"ContentSid": TEMPLATE, "ContentVariables": '{"1": 5}'}, 21656),
        ({"ContentSid": "HX" + "9" * 32}, 21655),
    ],
)
def test_each_bad_create_has_its_code(change: dict[str, str], code: int) -> None:
    form = {name: [value] for name, value in {**GOOD, **change}.items()}
    with pytest.raises(RestError) as refusal:
        checked_draft(form, settings(messaging_service_sid=SERVICE, templates={TEMPLATE: "Oi, {{1}}"}))
    assert (refusal.value.status, refusal.value.code) == (400, code)


async def test_a_refusal_names_its_code_and_is_in_the_ledger(stand_in: StandIn) -> None:
    status, error = await stand_in.create({**GOOD, "Body": ""})
    assert (status, error["code"], error["status"]) == (400, 21602, 400)
    assert error["more_info"] == "https://www.twilio.com/docs/errors/21602"
    assert [entry["details"]["reason"] for entry in await stand_in.entries("message_refused")] == ["21602"]


async def test_a_body_at_the_limit_and_a_hidden_phone_are_accepted(stand_in: StandIn) -> None:
    assert (await stand_in.create({**GOOD, "Body": "👋" * 800}))[0] == 201
    assert (await stand_in.create({**GOOD, "To": "whatsapp:BR.1A2B3C"}))[0] == 201


async def test_what_is_scheduled_is_refused_and_not_sent_at_once(stand_in: StandIn) -> None:
    status, _ = await stand_in.create({**GOOD, "SendAt": "2030-01-01T00:00:00Z", "ScheduleType": "fixed"})
    assert status == 501


async def test_a_contact_who_opted_out_gets_nothing(stand_in: StandIn) -> None:
    await stand_in.control("POST", f"phones/{ANA}", {"is_opted_out": True})
    with pytest.raises(TwilioRestException) as refusal:
        await stand_in.send()
    assert (refusal.value.status, refusal.value.code) == (400, 21610)


async def test_stop_opts_out_and_start_opts_in_where_advanced_opt_out_is_on(door: Door) -> None:
    async with running(settings(inbound_url=door.url, has_advanced_opt_out=True)) as stand_in:
        await stand_in.write(body=" stop ")
        assert door.posts[-1].form["OptOutType"] == "STOP"
        assert (await stand_in.create(GOOD))[1]["code"] == 21610
        await stand_in.write(body="START")
        assert (await stand_in.create(GOOD))[0] == 201


async def test_stop_is_a_word_like_any_other_where_it_is_off(stand_in: StandIn) -> None:
    await stand_in.write(body="STOP")
    assert (await stand_in.create(GOOD))[0] == 201


async def test_a_message_of_a_service_is_accepted_and_gets_its_sender_later(door: Door) -> None:
    async with running(settings(messaging_service_sid=SERVICE, status_default_url=door.url)) as stand_in:
        await stand_in.write()
        _, message = await stand_in.create({"To": ANA, "MessagingServiceSid": SERVICE, "Body": "Oi"})
        assert (message["status"], message["from"], message["num_segments"]) == ("accepted", None, "0")
        await eventually(lambda: len(door.posts) == 3)
        assert {post.form["MessagingServiceSid"] for post in door.posts} == {SERVICE}
        fetched = await stand_in.twilio.messages(message["sid"]).fetch_async()
        assert (fetched.from_, fetched.num_segments) == (SENDER, "1")


async def test_a_template_reaches_a_contact_whose_window_is_closed() -> None:
    async with running(settings(templates={TEMPLATE: "Oi, {{1}}: {{2}}"})) as stand_in:
        await stand_in.create({"To": ANA, "From": SENDER, "ContentSid": TEMPLATE, "ContentVariables": '{"1": "Ana"}'})
        [received] = await stand_in.received(1)
        assert received["body"] == "Oi, Ana: {{2}}"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (ACCOUNT_SID, "wrong"),
        ("AC" + "9" * 32, AUTH_TOKEN),
        ("SK" + "4" * 32, AUTH_TOKEN),
        ("", ""),
    ],
)
async def test_wrong_credentials_are_refused(name: str, secret: str) -> None:
    async with running(settings(api_key=ApiKey("SK" + "4" * 32, "the secret"))) as stand_in:
        status, error = await stand_in.create(GOOD, name, secret)
        assert (status, error["code"]) == (401, 20003)


async def test_no_credentials_at_all_are_refused(stand_in: StandIn) -> None:
    async with stand_in.http.post(f"{stand_in.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", data=GOOD) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic")


async def test_an_api_key_with_its_secret_may_send() -> None:
    async with running(settings(api_key=ApiKey("SK" + "4" * 32, "the secret"))) as stand_in:
        assert (await stand_in.create(GOOD, "SK" + "4" * 32, "the secret"))[0] == 201


async def test_the_account_in_the_path_must_be_ours(stand_in: StandIn) -> None:
    status, error = await stand_in.create(GOOD, account="AC" + "9" * 32)
    assert (status, error["code"]) == (404, 20404)


async def test_what_is_not_simulated_is_not_found_as_at_twilio(stand_in: StandIn) -> None:
    async with stand_in.http.get(f"{stand_in.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json") as response:
        error: dict[str, Any] = await response.json()
    assert (response.status, error["code"]) == (404, 20404)
