"""What stands beside the phones, where the system is not as it should be: the page is told, in a sentence."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from commands.beside_phones import BesidePhones
from projections.migrate import migrate
from settings import Settings, load_settings
from simulator.phone.beside import BesideTrouble
from simulator.servers import free_port
from streams.engines.choose import event_log
from tests.simulator.stand_in import ANA, SENDER

SECRET = "0123456789abcdef" * 2


def nowhere() -> Settings:
    return load_settings(
        redis_url=f"redis://127.0.0.1:{free_port()}/0", database_url=f"postgresql://user:canary@127.0.0.1:{free_port()}/prosa"
    )


async def asked(beside: BesidePhones, question: str) -> str:
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "conversation": lambda: beside.conversation(ANA),
        "clock": beside.clock_ahead_ms,
        "advance": lambda: beside.advance_clock(20),
        "act": lambda: beside.beside.acts["close"](ANA, ""),
    }
    try:
        with pytest.raises(BesideTrouble) as trouble:
            await questions[question]()
    finally:
        await beside.beside.close()
    return str(trouble.value)


@pytest.mark.parametrize(
    ("question", "who"), [("conversation", "read model"), ("clock", "read model"), ("advance", "log"), ("act", "read model")]
)
async def test_what_is_away_is_named(question: str, who: str) -> None:
    sentence = await asked(BesidePhones(nowhere(), SENDER), question)
    assert sentence.startswith(f"The {who} does not answer: ")
    assert "canary" not in sentence


@pytest.mark.parametrize("question", ["advance", "act"])
async def test_no_limit_is_told_that_an_act_does_not_have(monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    async def too_late(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("operations.clock.advance", too_late)
    monkeypatch.setattr("operations.conversations.named", too_late)
    assert await asked(BesidePhones(nowhere(), SENDER), question) == "No answer came in time; look again before you repeat it"


async def test_a_look_that_hangs_tells_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("commands.beside_phones.LOOK_SECONDS", 1.0)
    monkeypatch.setattr("operations.timeline.timeline", hangs)
    told = await asked(BesidePhones(nowhere(), SENDER), "conversation")
    assert told == "The read model has said nothing for 1 seconds"


async def test_tables_that_are_still_to_be_made_are_named_and_then_found(database_url: str) -> None:
    beside = BesidePhones(load_settings(database_url=database_url), SENDER)
    with pytest.raises(BesideTrouble, match="prosa migrate"):
        await beside.conversation(ANA)
    await asyncio.to_thread(migrate, database_url)
    assert await beside.conversation(ANA) is None
    assert await beside.clock_ahead_ms() == 0
    await beside.beside.close()


async def test_production_has_no_other_time(redis_url: str, database_url: str) -> None:
    settings = load_settings(
        environment="production",
        redis_url=redis_url,
        database_url=database_url,
        secret_key=SECRET,
        twilio_auth_token=SECRET,
        twilio_account_sid="AC" + "1" * 32,
        public_base_url="https://prosa.example",
    )
    await asyncio.to_thread(migrate, database_url)
    log = event_log(settings)
    await log.start()
    await log.close()
    assert (
        await asked(BesidePhones(settings, SENDER), "advance") == "this log is served in production, where nobody moves the clock"
    )


async def test_a_contact_whom_nobody_knows_has_nothing_to_close(database_url: str) -> None:
    await asyncio.to_thread(migrate, database_url)
    sentence = await asked(BesidePhones(load_settings(database_url=database_url), SENDER), "act")
    assert sentence.startswith("no conversation is named so")
