"""The panel of what goes wrong on purpose, in a real browser."""

from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, ViewportSize, expect

from simulator.phone.switches import GROUPS, SWITCHES, Switch
from tests.browser.chromium import Seen, seen
from tests.browser.conftest import Bench
from tests.browser.test_phone_for_everybody import CONTRASTS
from tests.simulator.stand_in import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = "whatsapp:+5511999990000"
TITLES = [group.title for group in GROUPS]
SIZES = [ViewportSize(width=390, height=844), ViewportSize(width=1440, height=900)]


async def plan(bench: Bench) -> dict[str, Any]:
    return await bench.stand_in.control("GET", "faults")


async def test_the_panel_opens_as_a_short_list_of_groups(shown: Seen) -> None:
    await shown.open_switches()
    await expect(shown.page.locator("#switches summary strong")).to_have_text(TITLES)
    assert await shown.page.locator("#switches [data-switch]").evaluate_all("all => all.some(e => e.checkVisibility())") is False
    assert await shown.page.locator("#switches").evaluate("e => e.scrollHeight <= e.clientHeight")


async def test_every_switch_is_turned_by_hand_and_all_of_them_off_by_one_press(shown: Seen, bench: Bench) -> None:
    await shown.open_switches(*TITLES)
    for name, switch in SWITCHES.items():
        control = shown.page.locator(f'[data-switch="{name}"]')
        if len(switch.settings) == 1:
            await control.click()
        else:
            await control.select_option(label=switch.settings[-1].label)
        await eventually(lambda: _is_planned(bench, switch))  # noqa: B023 - asked before the next turn
    await expect(shown.page.locator("#fault-count")).to_have_text(str(len(SWITCHES)))
    for group in GROUPS:
        await expect(shown.group(group.title).locator("summary .count")).to_contain_text(str(len(group.switches)))
    await shown.page.get_by_role("button", name="Turn everything off").click()
    await expect(shown.page.locator("#fault-count")).to_be_hidden()
    await expect(shown.page.locator("#switches summary .count")).to_have_count(0)
    await expect(shown.page.locator("#switches :checked:not(option)")).to_have_count(0)


async def _is_planned(bench: Bench, switch: Switch) -> bool:
    value: Any = await plan(bench)
    for part in switch.path:
        value = value[part]
    return bool(value == switch.settings[-1].value)


async def test_a_group_that_was_opened_stays_open_while_the_page_changes(shown: Seen, bench: Bench) -> None:
    await shown.open_switches("The model")
    await bench.stand_in.break_down(model={"500": 5})
    await expect(shown.group("The model").locator("summary .count")).to_contain_text("1")
    assert await shown.group("The model").evaluate("e => e.open")
    assert not await shown.group("Statuses").evaluate("e => e.open")


async def test_a_message_that_is_never_posted_stands_on_the_phone_and_in_the_list(shown: Seen, bench: Bench) -> None:
    await shown.open_switches("What contacts write")
    await shown.page.get_by_role("switch", name="Never post the next one").check()
    await eventually(lambda: _has_planned_a_loss(bench))
    await shown.page.keyboard.press("Escape")
    await shown.write("Ana", "Oi!")
    await expect(shown.bubbles("Ana")).to_contain_text(["Oi!"])
    await expect(shown.bubbles("Ana").locator(".trouble")).to_have_text("No webhook was called")
    assert [message.body for message in await bench.stand_in.twilio.messages.list_async()] == ["Oi!"]
    assert bench.door.posts == []


async def _has_planned_a_loss(bench: Bench) -> bool:
    return bool((await plan(bench))["inbound"]["lost"] == 1)


async def test_the_model_refuses_while_its_switch_is_on(shown: Seen, bench: Bench) -> None:
    await shown.open_switches("The model")
    await shown.group("The model").get_by_label("Too many requests").select_option(label="every one")
    await eventually(lambda: _is_asked(bench, 429))
    await shown.page.get_by_role("button", name="Turn everything off").click()
    await eventually(lambda: _is_asked(bench, 200))


async def _is_asked(bench: Bench, status: int) -> bool:
    asked = {"model": "simulated", "messages": [{"role": "user", "content": "Oi"}]}
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as http,
        http.post(f"{bench.url}model/v1/chat/completions", json=asked) as response,
    ):
        return response.status == status


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size['width']}px")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_the_open_panel_fits_and_is_read_and_touched_with_ease(
    browser: Browser, bench: Bench, size: ViewportSize, dark: bool
) -> None:
    await bench.stand_in.break_down(create={"429": 1}, model={"500": 5})
    async with seen(browser, bench.url, size=size, dark=dark) as shown:
        await shown.open_switches(*TITLES)
        panel = shown.page.locator("#switches")
        assert await panel.evaluate("e => e.scrollWidth <= e.clientWidth")
        sticking_out = "e => [...e.querySelectorAll('*')].filter(each => each.getBoundingClientRect().right > innerWidth).length"
        assert await panel.evaluate(sticking_out) == 0
        heights = await panel.locator("summary, .switch").evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
        assert min(heights) >= 40
        assert [found for found in await shown.page.evaluate(CONTRASTS) if found[0] < 4.5] == []
