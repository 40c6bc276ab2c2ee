"""What goes to an open page, and that nothing is asked while none is open."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from simulator.phone.beside import Deadline
from simulator.phone.contacts import FIRST, on_page
from simulator.phone.rendering import ahead, until, visible
from tests.browser.fake_beside import FakeSystem
from tests.simulator.stand_in import ANA, StandIn, eventually, running, settings

FIRST_ANA = FIRST[0][0]


@asynccontextmanager
async def bench() -> AsyncIterator[tuple[StandIn, FakeSystem]]:
    system = FakeSystem()
    async with running(settings(), system.beside) as stand_in:
        yield stand_in, system


async def fragments(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


async def until_shown(response: aiohttp.ClientResponse, text: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        async for fragment in fragments(response):
            if text in fragment["html"]:
                return fragment
    raise AssertionError(text)


def our_tasks() -> set[str]:
    """The work for open pages that goes on in this process."""
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    return {name for name in names if "Live." in name}


async def test_while_no_page_is_open_nobody_asks_the_system() -> None:
    async with bench() as (stand_in, system):
        for _ in range(3):
            await stand_in.write(FIRST_ANA, body="Oi")
        async with stand_in.http.get(f"{stand_in.url}/") as response:
            assert response.status == 200
        assert (system.looks, our_tasks()) == (0, set())


async def test_a_page_gets_everything_once_and_then_only_what_changed() -> None:
    async with bench() as (stand_in, _):
        await stand_in.write(FIRST_ANA, body="primeira")
        async with stand_in.http.get(f"{stand_in.url}/phone/live") as response:
            whole = await until_shown(response, "primeira")
            assert whole["whole"] is True
            await stand_in.write(FIRST_ANA, body="segunda")
            item = await until_shown(response, "segunda")
            assert item["whole"] is False
            assert "primeira" not in item["html"]


async def test_a_page_that_was_closed_leaves_no_work_behind() -> None:
    async with bench() as (stand_in, _):
        async with stand_in.http.get(f"{stand_in.url}/phone/live") as response:
            await until_shown(response, "No conversation yet")
            assert our_tasks()
            response.close()
        await eventually(lambda: not our_tasks())


async def test_a_slow_read_model_holds_up_no_bubble() -> None:
    async with bench() as (stand_in, system):
        system.is_stuck = True
        async with stand_in.http.get(f"{stand_in.url}/phone/live") as response:
            await until_shown(response, "data-switch")
            await stand_in.write(FIRST_ANA, body="Oi")
            await until_shown(response, "Oi")


async def test_a_clock_that_cannot_be_read_says_so_until_it_can() -> None:
    async with bench() as (stand_in, system):
        system.ahead_ms = 20 * 60_000
        async with stand_in.http.get(f"{stand_in.url}/phone/live") as response:
            await until_shown(response, "20 min ahead")
            system.trouble = "The read model does not answer"
            told = await until_shown(response, "cannot be read now")
            assert told["target"] == "clock-now"
            assert all(each in told["html"] for each in ("20 min ahead", system.trouble))
            system.trouble = ""
            assert "cannot be read" not in (await until_shown(response, "20 min ahead"))["html"]


@pytest.mark.parametrize(
    ("left_seconds", "told"),
    [
        (-5, "any moment now"),
        (59, "in 59 s"),
        (119, "in 119 s"),
        (120, "in 2 min"),
        (14 * 60 + 59, "in 14 min"),
        (3600, "in 1 h"),
        (86_399, "in 23 h 59 min"),
        (86_400 * 2 + 3600 * 3 + 60, "in 2 d 3 h"),
    ],
)
def test_a_deadline_is_told_as_a_person_would(left_seconds: int, told: str) -> None:
    assert until(Deadline("idle", left_seconds * 1000, 0), 0) == told


def test_how_far_the_clock_was_moved() -> None:
    assert [ahead(minutes * 60_000) for minutes in (20, 1500, 1520)] == ["20 min", "1 d 1 h", "1 d 1 h"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Olá 👨‍👩‍👧", "Olá 👨‍👩‍👧"),
        ("\u200b" * 20, " ".join(["U+200B"] * 8) + " …"),
        ("a\x1b[31m\x7f\n\tb", "a␛[31m␡\n\tb"),
        ("", ""),
    ],
    ids=ascii,
)
def test_what_has_no_shape_is_given_one(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_who_is_no_contact_is_not_on_the_page() -> None:
    asked = ["whatsapp:<script>", ANA, ANA, "+5511900000001", "whatsapp:BR.1"]
    assert [contact.address for contact in on_page(asked, ["x", "Ana"])] == [ANA, "whatsapp:BR.1"]
    assert on_page([ANA, "whatsapp:BR.1"], ["", "  Zé  "])[1].name == "Zé"


def test_a_page_holds_six_phones_at_most() -> None:
    assert len(on_page([f"whatsapp:+5511900000{number:03d}" for number in range(20)], [])) == 6
