"""`prosa dev` while it runs: everything works, everything is told, nothing is told that must not be."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from settings import DEVELOPMENT_SECRET, DEVELOPMENT_TOKEN
from tests.acceptance.processes import LOOPBACK, descendants, listening_addresses
from tests.acceptance.running import PROSA, QUICK, Prosa, end, eventually, free_ports, prosa, running
from tests.harness.checker import violations

SECONDS = 30.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosa]:
    """One system for all tests here, in a folder whose name has a blank, and with everything that it can tell."""
    prosa_dev = Prosa(tmp_path_factory.mktemp("dev") / "a folder", 2, {**QUICK, "LOG_LEVEL": "DEBUG"})
    asyncio.run(prosa_dev.start())
    yield prosa_dev
    asyncio.run(end(prosa_dev))


@pytest.fixture
async def dev(shared: Prosa) -> AsyncIterator[Prosa]:
    yield shared
    shared.note_processes()


async def test_a_contact_is_answered_and_sees_the_statuses(dev: Prosa) -> None:
    code, output = await dev.say("Olá!")
    assert code == 0, output
    spoken_to, said, answered, quoted, *statuses = [line.strip() for line in output.splitlines()]
    assert spoken_to == "of prosa dev in .prosa"
    assert said == "whatsapp:+5511999990000: Olá!"
    assert answered.startswith("Prosa: Sou o atendente offline")
    assert "Olá!" in quoted
    assert statuses[-1] == "read"


async def test_ten_duplicates_at_once_are_one_message_one_reply_and_one_model_call(dev: Prosa) -> None:
    contact = "whatsapp:+5511922222222"
    async with dev.phone_company() as twilio, dev.database() as database:
        sid = await twilio.write(contact, "d01", copies=10)

        async def all_well() -> bool:
            return not violations(await dev.history(twilio))

        await eventually(all_well, SECONDS, "everything is answered")
        assert len(await twilio.received(contact)) == 1
        events = "SELECT count(*) FROM prosa.events WHERE subject LIKE '%' || $1 AND type LIKE $2"
        assert await database.fetchval(events, contact, "prosa.message.received.%") >= 1
        assert await database.fetchval(events, contact, "prosa.reply.generated.%") == 1
        assert await database.fetchval("SELECT count(*) FROM prosa.messages WHERE sid = $1", sid) == 1


async def test_no_line_holds_a_secret_a_text_or_a_number(dev: Prosa) -> None:
    """Also where things go wrong: a forged post, a refused, a repeated, a lost and a failed message."""
    body, number = "canary-body-48151623", "5511987654321"
    async with dev.phone_company() as twilio, aiohttp.ClientSession() as http:
        webhook = f"{dev.addresses['PUBLIC_BASE_URL']}/webhooks/twilio/messages"
        async with http.post(webhook, data={"Body": body, "From": f"whatsapp:+{number}"}) as forged:
            assert forged.status == 403
        faults = {"429": 1, "500_after": 1, "reset_after": 1, "reject": {"code": 63016, "n": 1}}
        await twilio.break_down(create=faults, callbacks={"fail": {"code": 63024, "n": 1}})
        for count in range(1, 7):
            await twilio.write(f"whatsapp:+{number}", f"{body} {count}")
            await eventually(lambda: _has_settled(dev, number, count), SECONDS, f"message {count} is settled")  # noqa: B023
        await twilio.break_down()
    passwords = [urlsplit(dev.addresses[name]).password for name in ("REDIS_URL", "DATABASE_URL")]
    names = [canary for canary in (body, number, DEVELOPMENT_TOKEN, DEVELOPMENT_SECRET, *passwords) if canary]
    assert len(names) == 6
    assert [line for line in dev.output.splitlines() if any(name in line for name in names)] == []
    assert "thread_hash=" in dev.output


async def _has_settled(dev: Prosa, number: str, messages: int) -> bool:
    """Every message so far is answered, and nothing waits to be sent."""
    async with dev.database() as database:
        row = await database.fetchrow(
            "SELECT (SELECT count(*) FROM prosa.messages WHERE thread LIKE '%' || $1 AND direction = 'inbound') = $2"
            " AND NOT EXISTS (SELECT FROM prosa.threads WHERE thread LIKE '%' || $1"
            "  AND (awaits_answer_since_ms IS NOT NULL OR awaits_send_since_ms IS NOT NULL)) AS is_settled",
            number,
            messages,
        )
    return bool(row and row["is_settled"])


async def test_whatever_is_killed_is_started_again(dev: Prosa) -> None:
    said = len(dev.output)
    programs = {"simulator": "cli simulator", "webhook": "uvicorn", "clock": "handlers:clock", "handlers": "handlers:app"}
    for text in programs.values():
        os.kill(dev.child(text).pid, signal.SIGKILL)
    for name in programs:
        await eventually(lambda: _said(dev, said, f"{name} was ended by SIGKILL"), SECONDS, name)  # noqa: B023
    await _is_answered(dev)
    for name, text in {"Valkey": "valkey-server", "Postgres": "bin/postgres"}.items():
        os.kill(dev.child(text).pid, signal.SIGKILL)
        await eventually(lambda: _said(dev, said, f"{name} has ended; starting it again"), SECONDS, name)  # noqa: B023
    await _is_answered(dev)


async def _said(dev: Prosa, after: int, sentence: str) -> bool:
    return sentence in dev.output[after:]


async def _is_answered(dev: Prosa) -> None:
    async def says() -> bool:
        code, _ = await dev.say("Oi", "--wait", "10")
        return code == 0

    await eventually(says, SECONDS, "an answer")


async def test_a_second_one_in_the_same_folder_is_refused(dev: Prosa) -> None:
    code, output = await prosa("dev", *free_ports(1), directory=dev.directory)
    assert code == 1
    assert output == f"prosa: prosa dev already runs in {dev.directory / '.prosa'}; a second one needs its own --data\n"
    assert dev.process.poll() is None


async def test_its_ports_are_taken_for_another_folder(dev: Prosa, tmp_path: Path) -> None:
    code, output = await prosa("dev", *dev.options, directory=tmp_path)
    assert code == 1
    ports = [port for _, port in sorted(zip(dev.options[::2], dev.options[1::2], strict=True))]
    assert all(port in output for port in ports)
    assert "are taken; choose others: " in output


async def test_two_run_side_by_side_without_being_told_where(tmp_path: Path) -> None:
    """Whatever else listens on this machine, also at their first choices."""
    first, second = (Prosa(tmp_path / name, 1, QUICK, ["--data", ".prosa"]) for name in ("first", "second"))
    async with running(first), running(second):
        assert "are taken; this run has --port" in second.output
        assert f"Open {second.addresses['TWILIO_API_URL']} and chat." in second.output
        for each in (first, second):
            code, output = await each.say("Olá!")
            assert (code, "Olá!" in output) == (0, True), output
            async with each.phone_company() as twilio:
                assert len(await twilio.received("whatsapp:+5511999990000")) == 1


async def test_everything_it_writes_is_below_its_data(dev: Prosa) -> None:
    assert {path.name for path in dev.directory.iterdir()} == {".prosa", dev.output_file.name}


async def test_only_its_owner_can_read_the_addresses(dev: Prosa) -> None:
    file = dev.directory / ".prosa" / "development.json"
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text()) == dev.addresses


async def test_everything_listens_on_this_machine_only(dev: Prosa) -> None:
    addresses = listening_addresses(descendants(dev.process.pid))
    assert len(addresses) >= 7
    assert set(addresses) == {LOOPBACK}


async def test_its_lines_are_merged_with_the_name_of_the_process_and_without_colours(dev: Prosa) -> None:
    assert "\x1b" not in dev.output
    lines = [line[9:19].rstrip() for line in dev.output.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert {"webhook", "handlers 1", "handlers 2", "clock"} <= set(lines)


async def test_the_links_are_whole_though_nobody_looks(dev: Prosa) -> None:
    """A table made for a terminal would cut them off at its width."""
    assert re.search(rf'In a second terminal  {PROSA} say "Olá!" +write to it from here', dev.output)
