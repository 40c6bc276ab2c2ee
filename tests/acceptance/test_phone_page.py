"""The five minutes of somebody new: `prosa dev`, the phone page, a chat, and a conversation that goes idle and expires."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.acceptance.running import QUICK, Prosa, running
from tests.browser.chromium import Seen, chromium, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dev(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prosa]:
    async with running(Prosa(tmp_path_factory.mktemp("phone"), settings=QUICK)) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def shown(browser: Browser, dev: Prosa) -> AsyncIterator[Seen]:
    async with seen(browser, dev.addresses["TWILIO_API_URL"]) as page:
        yield page


async def test_a_chat_a_handoff_and_then_the_clock(shown: Seen) -> None:
    """One test, since the clock of a system never goes back."""
    ana, bruno = shown.beside("Ana"), shown.beside("Bruno")
    await shown.write("Ana", "Olá!")
    await expect(shown.phone("Ana").locator(".theirs .text")).to_contain_text("Olá!")
    await expect(shown.phone("Ana").locator(".theirs .delivery-read")).to_be_visible()
    await expect(ana.locator(".status")).to_have_text("active")
    await expect(ana).to_contain_text(re.compile(r"idle\s+in 14 min"))
    await expect(ana).to_contain_text(re.compile(r"expires\s+in 23 h 59 min"))
    await expect(ana).to_contain_text(re.compile(r"reply window\s+closes in 23 h 59 min"))
    await expect(ana.locator(".steps code").last).to_have_text("message.received")

    await shown.phone("Bruno").get_by_role("button", name="Burst of 3").click()
    await expect(shown.phone("Bruno").locator(".theirs .bubble")).to_have_count(1)
    await bruno.get_by_role("button", name="Take over").click()
    await expect(bruno.locator(".status")).to_have_text("handoff")
    await bruno.get_by_role("textbox").fill("Aqui é a Rita.")
    await bruno.get_by_role("textbox").press("Enter")
    await expect(shown.phone("Bruno").locator(".theirs .text").last).to_have_text("Aqui é a Rita.")
    await bruno.get_by_role("button", name="Release").click()
    await expect(bruno.locator(".status")).to_have_text("active")

    await shown.page.get_by_role("button", name="20 minutes later").click()
    for beside in (ana, bruno):
        await expect(beside.locator(".status")).to_have_text("idle")
    await shown.page.get_by_role("button", name="25 hours later").click()
    for beside in (ana, bruno):
        await expect(beside.locator(".status")).to_have_text("expired")
        await expect(beside.locator(".steps li").first).to_contain_text("status idle → expired")
        await expect(beside.get_by_role("button")).to_have_count(0)
    await expect(shown.page.locator(".ahead")).to_have_text("1 d 1 h ahead")

    await shown.write("Ana", "Oi de novo")
    await expect(ana.locator(".status")).to_have_text("active")
    await expect(ana).to_contain_text("linked to the one before")


async def test_an_open_page_does_not_hold_up_the_end(browser: Browser, tmp_path: Path) -> None:
    async with running(Prosa(tmp_path, settings=QUICK)) as dev:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(dev.addresses["TWILIO_API_URL"])
        await expect(page.locator(".nothing").first).to_contain_text("No conversation yet")
        assert await dev.stop() == 0
        assert "graceful shutdown" not in dev.output
        await expect(page.get_by_role("status")).to_contain_text("The simulator does not answer")
        await context.close()
