"""A log that loses something under `prosa dev`: it ends and says what to type, and that needs nothing else to run."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest

from streams.engines.redis_keys import stream_key
from tests.acceptance.running import QUICK, STOP_SECONDS, PhoneCompany, Prosa, end, eventually, prosa

EXAMPLE = Path(__file__).parents[2] / ".env.example"
"""What the README has everybody copy: it names no other system."""
CONTACTS = [f"whatsapp:+55119444402{number:02}" for number in range(6)]


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Prosa]:
    prosa_dev = Prosa(tmp_path, 1, QUICK)
    yield prosa_dev
    await end(prosa_dev)


async def write(twilio: PhoneCompany, body: str) -> None:
    for contact in CONTACTS:
        await twilio.write(contact, body)


async def everybody_is_answered(twilio: PhoneCompany, *bodies: str) -> None:
    async def look() -> bool:
        shown = [await answered(twilio, contact) for contact in CONTACTS]
        assert all(max(Counter(each).values(), default=0) <= 1 for each in shown), shown
        return all(each == list(bodies) for each in shown)

    await eventually(look, 60, f"one answer to each of {bodies}")


async def answered(twilio: PhoneCompany, contact: str) -> list[str]:
    return [message["body"].partition("“")[2].partition("”")[0] for message in await twilio.received(contact)]


async def ends(dev: Prosa) -> str:
    """By itself; its last words."""
    await eventually(lambda: has_ended(dev), STOP_SECONDS, "prosa dev ends")
    assert dev.process.returncode == 1
    return " ".join(dev.output.splitlines()[-3:])


async def has_ended(dev: Prosa) -> bool:
    dev_has_ended = dev.process.poll() is not None
    if not dev_has_ended:
        dev.note_processes()
    return dev_has_ended


async def test_it_says_what_to_type_and_that_repairs_what_has_stopped(dev: Prosa) -> None:
    await dev.start()
    async with dev.phone_company() as twilio:
        await write(twilio, "before")
        await everybody_is_answered(twilio, "before")
    async with dev.redis() as redis:
        for partition in range(8):
            await redis.delete(stream_key(partition))
    assert "prosa repair" in await ends(dev)
    dev.launch()
    assert "prosa repair" in await ends(dev)

    copyfile(EXAMPLE, dev.directory / ".env")
    code, output = await prosa("repair", "--dry-run", "--json", directory=dev.directory)
    assert (code, output.count('"agrees": false')) == (0, 1)
    code, output = await prosa("repair", "--yes", "--data", ".prosa", directory=dev.directory)
    assert (code, "The log is whole, in generation 2" in output) == (0, True), output
    assert await dev.left_over() == []

    await dev.start()
    async with dev.phone_company() as twilio:
        await everybody_is_answered(twilio, "before")
        await write(twilio, "after")
        await everybody_is_answered(twilio, "before", "after")
    code, output = await prosa("repair", directory=dev.directory)
    assert (code, "nothing to repair" in output) == (0, True)


@pytest.mark.parametrize("place", ["environment", ".env"])
async def test_a_system_that_is_named_is_the_one_that_is_meant(place: str, tmp_path: Path) -> None:
    """Though a run has left its servers' data here."""
    for name in ("valkey", "postgres"):
        (tmp_path / ".prosa" / name).mkdir(parents=True)
    named = {"REDIS_URL": "redis://127.0.0.1:2/0"}
    if place == ".env":
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in named.items()))
        named = {}
    code, output = await prosa("repair", "--yes", directory=tmp_path, **named)
    assert (code, "127.0.0.1:2" in output, "prosa dev" in output) == (1, True, False)
