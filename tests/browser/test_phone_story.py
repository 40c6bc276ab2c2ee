"""One clock on the whole page, what matters is seen, and the phone fits the screen."""

import re
from dataclasses import replace
from datetime import datetime

import pytest
from playwright.async_api import Browser, ViewportSize, expect

from simulator.phone.beside import Step
from simulator.phone.rendering import day
from tests.browser.chromium import Seen, seen
from tests.browser.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = "whatsapp:+5511999990000"


async def test_the_phone_goes_by_the_clock_of_the_conversation(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_have_count(1)
    await shown.page.get_by_role("button", name="25 hours later").click()
    await expect(shown.beside("Ana").locator(".status")).to_have_text("expired")
    await shown.write("Ana", "Oi de novo")
    await expect(shown.bubbles("Ana")).to_have_count(2)
    told = await shown.bubbles("Ana").last.locator("time").get_attribute("datetime")
    step = await shown.beside("Ana").locator(".steps time").first.get_attribute("datetime")
    assert told
    assert step
    assert 0 <= (datetime.fromisoformat(told) - datetime.fromisoformat(step)).total_seconds() < 60
    await expect(shown.phone("Ana").locator(".day:not(.later)").last).to_have_text(day(datetime.fromisoformat(told).timestamp()))


async def test_time_that_passes_is_said_on_every_phone_at_once(shown: Seen) -> None:
    for name in ("Ana", "Bruno"):
        await shown.write(name, "Oi!")
        await expect(shown.bubbles(name)).to_have_count(1)
    for told in ("20 minutes later", "25 hours later"):
        await shown.page.get_by_role("button", name=told).click()
        for name in ("Ana", "Bruno"):
            await expect(shown.phone(name).locator(".later").last).to_have_text(told)
    days = [await shown.phone(name).locator(".day").all_inner_texts() for name in ("Ana", "Bruno")]
    assert days[0] == days[1]
    ids = await shown.page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    assert len(ids) == len(set(ids))


async def test_only_what_came_since_the_page_was_opened_is_marked_as_new(browser: Browser, bench: Bench) -> None:
    old = Step("old", "message.received", bench.system.now_ms, ())
    bench.system.open(ANA, old)
    async with seen(browser, bench.url) as shown:
        steps = shown.beside("Ana").locator(".steps li")
        await expect(steps).to_have_count(1)
        bench.system.open(ANA, old, Step("new", "reply.failed", bench.system.now_ms, ("reply failed",), is_failure=True))
        await expect(steps).to_have_count(2)
        await expect(steps.first).to_have_attribute("data-new", "")
        assert await steps.last.get_attribute("data-new") is None
        await expect(steps.first).to_have_class(re.compile("failure"))


async def test_open_dead_letters_stand_beside_the_status(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    await expect(shown.beside("Ana").locator(".dead")).to_have_count(0)
    bench.system.conversations[ANA] = replace(bench.system.conversations[ANA], dead_letters=2)
    await expect(shown.beside("Ana").locator(".dead")).to_have_text("2 dead letters")


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1280, 800), (1024, 768), (768, 900)])
async def test_phone_and_conversation_stand_side_by_side_and_the_composer_is_in_sight(
    browser: Browser, bench: Bench, width: int, height: int
) -> None:
    bench.system.open(ANA)
    async with seen(browser, bench.url, size=ViewportSize(width=width, height=height)) as shown:
        await expect(shown.beside("Ana").locator(".status")).to_be_visible()
        phone, beside = await shown.phone("Ana").bounding_box(), await shown.beside("Ana").bounding_box()
        assert phone
        assert beside
        assert phone["y"] == beside["y"]
        assert phone["y"] + phone["height"] <= height


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
async def test_the_composer_is_in_sight_while_others_write(browser: Browser, bench: Bench, width: int, height: int) -> None:
    for number in range(2):
        await bench.stand_in.write(f"whatsapp:+551193333000{number}", body="Oi")
    async with seen(browser, bench.url, size=ViewportSize(width=width, height=height)) as shown:
        await expect(shown.page.get_by_role("navigation", name="Other contacts").get_by_role("link")).to_have_count(2)
        await expect(shown.composer("Ana")).to_be_in_viewport(ratio=1)


async def test_a_small_screen_shows_the_status_at_the_phone_and_buttons_for_a_finger(browser: Browser, bench: Bench) -> None:
    bench.system.open(ANA)
    async with seen(browser, bench.url, size=ViewportSize(width=390, height=844)) as shown:
        await expect(shown.station("Ana").locator(".glance .status")).to_be_visible()
        await expect(shown.composer("Ana")).to_be_in_viewport(ratio=1)
        heights = await shown.page.locator("button").evaluate_all(
            "all => all.filter(each => each.checkVisibility()).map(each => each.getBoundingClientRect().height)"
        )
        assert min(heights) >= 40
