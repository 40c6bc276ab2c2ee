"""What the doctor sees of Twilio, the models and the webhook; the first two are called only when asked for."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from operations.doctor.findings import Severity
from simulator.servers import free_port
from tests.handlers.raw_server import answering, hanging, serving
from tests.operations.doctor.looking import CANARY, look, look_at
from tests.simulator import stand_in
from tests.webhook.logs import FaultyLog
from tests.webhook.serving import door_on
from tests.webhook.serving import serving as serving_door

WARNING, ERROR, OK = Severity.WARNING, Severity.ERROR, Severity.OK
ACCOUNT = "AC" + "1" * 32
TOKEN, OTHER_TOKEN = SecretStr("a" * 32), SecretStr("b" * 32)


@contextmanager
def listening() -> Iterator[int]:
    """Somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_credentials_of_twilios_form_are_well_also_while_rotating() -> None:
    found = await look_at("Twilio account", twilio_account_sid=ACCOUNT, twilio_auth_token=(TOKEN, OTHER_TOKEN))
    [finding] = found.of("Twilio account")
    assert (finding.severity, "2 tokens" in finding.sentence) == (OK, True)
    assert TOKEN.get_secret_value() not in found.everything


@pytest.mark.parametrize(
    ("changes", "severity", "told"),
    [
        ({}, WARNING, "TWILIO_ACCOUNT_SID is the default"),
        ({"twilio_account_sid": f"AC{CANARY}", "twilio_auth_token": (TOKEN,)}, ERROR, "TWILIO_ACCOUNT_SID"),
        ({"twilio_account_sid": ACCOUNT}, ERROR, "TWILIO_AUTH_TOKEN is the default"),
        ({"twilio_account_sid": ACCOUNT, "twilio_auth_token": (TOKEN, SecretStr(CANARY))}, WARNING, "Token 2"),
    ],
)
async def test_credentials_of_another_form_are_told_and_not_shown(
    changes: dict[str, object], severity: Severity, told: str
) -> None:
    found = await look_at("Twilio account", **changes)
    assert found.severities("Twilio account") == [severity]
    assert told in found.told("Twilio account")
    assert CANARY not in found.everything


async def test_a_stand_in_is_well_in_development_and_an_error_in_production() -> None:
    url = "http://127.0.0.1:8010"
    assert (await look_at("Twilio account", twilio_api_url=url)).severities("Twilio account") == [OK]
    found = await look_at("Twilio account", twilio_api_url=url, environment="production")
    assert found.severities("Twilio account") == [ERROR]


@pytest.mark.parametrize(
    ("token", "severity"), [(stand_in.AUTH_TOKEN, OK), (CANARY, ERROR)], ids=["the account's token", "another token"]
)
async def test_on_request_the_credentials_are_tried_at_twilio(token: str, severity: Severity) -> None:
    async with stand_in.running(stand_in.settings()) as twilio:
        found = await look_at(
            "Twilio call",
            twilio_api_url=twilio.url,
            twilio_account_sid=stand_in.ACCOUNT_SID,
            twilio_auth_token=(SecretStr(token),),
        )
        assert (await twilio.control("GET", "ledger"))["entries"] == [], "it was harmless"
    assert found.severities("Twilio call") == [severity]
    assert CANARY not in found.everything


async def test_a_twilio_that_does_not_answer_is_told_in_time() -> None:
    with listening() as port:
        found = await look_at("Twilio call", twilio_api_url=f"http://127.0.0.1:{port}", twilio_timeout_seconds=0.2)
    assert "does not answer" in found.told("Twilio call")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ai_model": "openai:m"}, "OPENAI_API_KEY"),
        ({"ai_model": "gpt-5"}, "AI_MODEL"),
        ({"ai_fallback_models": ("nonsense",)}, "AI_FALLBACK_MODELS"),
    ],
)
async def test_a_model_that_cannot_be_asked_names_the_setting(changes: dict[str, object], told: str) -> None:
    found = await look_at("model", **changes)
    assert found.severities("model") == [ERROR]
    assert told in found.told("model")


async def test_the_offline_responder_is_no_model_for_production() -> None:
    assert (await look_at("model")).severities("model") == [OK]
    assert "AI_MODEL" in (await look_at("model", environment="production")).told("model")


async def test_on_request_each_model_is_asked_once_and_what_it_refuses_has_a_remedy() -> None:
    async with serving(answering(401, {"error": {"message": CANARY}})) as server:
        found = await look_at(
            "model request",
            ai_model="openai:m",
            ai_fallback_models=("offline",),
            openai_base_url=f"{server.url}/v1",
            openai_api_key=SecretStr(CANARY),
        )
    assert found.severities("model request") == [ERROR, OK]
    assert "OPENAI_API_KEY" in found.told("model request")
    assert CANARY not in found.everything


async def test_nobody_is_called_who_was_not_asked_for() -> None:
    async with serving(hanging) as server:
        await look(twilio_api_url=server.url, ai_model="openai:m", openai_base_url=f"{server.url}/v1")
        assert server.asked == []


@pytest.mark.parametrize(
    ("url", "environment", "severities"),
    [
        ("https://prosa.example.com", "production", [OK]),
        ("https://prosa.example.com/prosa", "production", [OK, WARNING]),
        ("https://localhost:8000", "production", [ERROR]),
        ("https://192.168.1.4", "production", [ERROR]),
        ("http://127.0.0.1:8000", "development", [OK]),
        ("http://prosa.example.com", "development", [WARNING]),
    ],
)
async def test_the_public_address_is_one_that_twilio_can_reach(url: str, environment: str, severities: list[Severity]) -> None:
    found = await look_at("public address", public_base_url=url, environment=environment)
    assert found.severities("public address") == severities


async def test_the_webhook_is_found_where_twilio_is_to_find_it() -> None:
    async with serving_door(door_on(FaultyLog())) as door:
        assert (await look_at("webhook", public_base_url=f"http://127.0.0.1:{door.port}")).severities("webhook") == [OK]
    nobody = await look_at("webhook", public_base_url=f"http://127.0.0.1:{free_port()}")
    assert "uvicorn webhook:app" in nobody.told("webhook")
    async with serving(answering(404, {})) as another:
        found = await look_at("webhook", public_base_url=another.url)
    assert "not the webhook: status 404" in found.told("webhook")
