"""`prosa say` in a second terminal: the answer to what was said, or why there is none."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.running import PROSA, QUICK, Prosa, clean_environment, end, eventually, prosa

SECONDS = 30.0
SENDER = "whatsapp:+14155550100"
ANA, BIA, CAIO = (f"whatsapp:+551190000000{number}" for number in range(3))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosa]:
    """With a sender and a data directory of its own, and a lease that outlives a worker's pause."""
    directory = tmp_path_factory.mktemp("say")
    settings = {**QUICK, "LEASE_SECONDS": "30", "TWILIO_SENDER": SENDER, "TYPING_INDICATOR": "true"}
    prosa_dev = Prosa(directory, 1, settings)
    asyncio.run(prosa_dev.start())
    yield prosa_dev
    asyncio.run(end(prosa_dev))


async def test_the_sender_that_is_set_is_the_one_that_answers(dev: Prosa) -> None:
    code, output = await dev.say("Olá!", "--from", ANA)
    assert code == 0, output
    async with dev.database() as database:
        threads = await database.fetch("SELECT DISTINCT thread FROM prosa.messages WHERE thread LIKE '%' || $1", ANA)
    assert [row["thread"] for row in threads] == [f"{SENDER}|{ANA}"]


async def test_a_silence_that_a_person_decided_on_is_told_and_is_no_failure(dev: Prosa) -> None:
    await dev.say("Olá!", "--from", BIA)
    assert (await prosa("conversations", "take", BIA, "--by", "ana", directory=dev.directory))[0] == 0
    code, output = await dev.say("Is anybody there?", "--from", BIA)
    assert (code, output.splitlines()[-1]) == (0, "No answer: a person has taken this conversation over (ana).")


async def test_a_script_gets_json(dev: Prosa) -> None:
    code, output = await dev.say("Olá!", "--json", "--from", CAIO)
    told = json.loads(output)
    assert (code, told["silence"], told["failure"]) == (0, None, None)
    assert [message["status"] for message in told["replies"]] == ["read"]
    code, output = await dev.say("tchau", "--json", "--from", CAIO)
    told = json.loads(output)
    assert (code, told["replies"]) == (0, [])
    assert told["silence"].startswith("this word closes a conversation")


async def test_ctrl_c_ends_the_waiting_without_a_word(dev: Prosa) -> None:
    handlers = dev.child("handlers:app").pid
    os.kill(handlers, signal.SIGSTOP)
    try:
        process = await asyncio.create_subprocess_exec(
            PROSA,
            "say",
            "Olá!",
            cwd=dev.directory,
            env=clean_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        where, said = [await asyncio.wait_for(process.stdout.readline(), SECONDS) for _ in range(2)]
        assert where.decode() == "of prosa dev in .prosa\n"
        process.send_signal(signal.SIGINT)
        rest = await asyncio.wait_for(process.stdout.read(), SECONDS)
        assert (await process.wait(), said.decode(), rest) == (130, "whatsapp:+5511999990000: Olá!\n", b"")
    finally:
        os.kill(handlers, signal.SIGCONT)


async def test_who_waits_too_short_is_told(dev: Prosa) -> None:
    handlers = dev.child("handlers:app").pid
    os.kill(handlers, signal.SIGSTOP)
    try:
        code, output = await dev.say("Olá!", "--wait", "0.2", "--from", ANA)
    finally:
        os.kill(handlers, signal.SIGCONT)
    assert (code, output.splitlines()[-1]) == (1, "prosa: no reply within 0.2 seconds; the log lines of prosa dev say why")


async def test_a_message_that_twilio_loses_on_purpose_is_no_sign_of_a_webhook_that_is_away(dev: Prosa) -> None:
    async with dev.phone_company() as twilio:
        await twilio.break_down(inbound={"lost": 1})
        code, output = await dev.say("Olá!", "--from", ANA)
    assert (code, output.splitlines()[-1].partition(";")[0]) == (1, "prosa: Twilio lost this message on purpose")


async def test_the_log_tells_the_story_in_short_lines(dev: Prosa) -> None:
    """The first conversation, from the message to what the phone did with the answer."""

    async def is_read() -> bool:
        return "reply read" in dev.output

    await eventually(is_read, SECONDS, "the first answer is read")
    lines = [line for line in dev.output.splitlines() if "thread=" in line]
    story = [line[20:44].strip() for line in lines if _thread_of(line) == _thread_of(lines[0])]
    assert story[:6] == [
        "message received",
        "conversation opened",
        "reply generated",
        "reply sent",
        "reply delivered",
        "reply read",
    ]
    assert max(map(len, dev.output.splitlines())) < 100 + len(str(PROSA))


def _thread_of(line: str) -> str:
    return line.partition("thread=")[2][:6]
