"""The focus of the phone page is never lost: it stays on a control, or goes to the one that stands there now."""

import pytest
from playwright.async_api import expect

from tests.browser.chromium import Seen
from tests.browser.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = "whatsapp:+5511999990000"


async def test_taking_over_releasing_and_closing_hand_the_focus_on(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    ana = shown.beside("Ana")
    await ana.get_by_role("button", name="Take over").focus()
    await shown.page.keyboard.press("Enter")
    await expect(ana.get_by_role("button", name="Release")).to_be_focused()
    await shown.page.keyboard.press("Enter")
    await expect(ana.get_by_role("button", name="Take over")).to_be_focused()
    await ana.get_by_role("button", name="Close").focus()
    await shown.page.keyboard.press("Enter")
    await expect(shown.composer("Ana")).to_be_focused()
    assert [name for name, _, _ in bench.system.said] == ["take over", "release", "close"]


async def test_moving_the_clock_and_turning_receipts_keep_the_focus(shown: Seen, bench: Bench) -> None:
    later = shown.page.get_by_role("button", name="20 minutes later")
    await later.focus()
    await shown.page.keyboard.press("Enter")
    await expect(shown.page.locator(".ahead")).to_be_visible()
    await expect(later).to_be_focused()
    await shown.station("Ana").get_by_role("button", name="Read receipts on").focus()
    await shown.page.keyboard.press("Enter")
    await expect(shown.station("Ana").get_by_role("button", name="Read receipts off")).to_be_focused()


async def test_whoever_removes_or_adds_a_contact_goes_on_at_a_phone(shown: Seen) -> None:
    await shown.page.get_by_role("link", name="Remove Ana").focus()
    await shown.page.keyboard.press("Enter")
    await expect(shown.page.get_by_role("article")).to_have_count(1)
    await expect(shown.composer("Bruno")).to_be_focused()
    await shown.page.get_by_role("button", name="Contact", exact=True).click()
    await expect(shown.page.get_by_label("Address")).to_be_focused()
    await shown.page.get_by_label("Name", exact=True).fill("Zoé")
    await shown.page.keyboard.press("Enter")
    await expect(shown.composer("Zoé")).to_be_focused()


async def test_what_cannot_be_sent_stays_in_its_box(shown: Seen, bench: Bench) -> None:
    await expect(shown.beside("Ana")).to_contain_text("No conversation yet")
    await shown.page.context.set_offline(True)
    await shown.write("Ana", "Oi!")
    await expect(shown.station("Ana").locator(".hint")).to_be_visible()
    await expect(shown.composer("Ana")).to_have_value("Oi!")
    await shown.page.context.set_offline(False)
    shown.wrong.clear()
