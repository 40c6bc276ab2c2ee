"""The phone page by keyboard alone, on a small screen, in the dark."""

import pytest
from playwright.async_api import Browser, ViewportSize, expect

from simulator.phone.beside import Step
from tests.browser.chromium import DESKTOP, Seen, seen
from tests.browser.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = "whatsapp:+5511999990000"
PHONE = ViewportSize(width=375, height=812)
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3


async def test_enter_sends_and_shift_enter_begins_a_line(shown: Seen, bench: Bench) -> None:
    await shown.composer("Ana").focus()
    await shown.page.keyboard.type("um")
    await shown.page.keyboard.press("Shift+Enter")
    await shown.page.keyboard.type("dois")
    await expect(shown.bubbles("Ana")).to_have_count(0)
    await shown.page.keyboard.press("Enter")
    await expect(shown.bubbles("Ana").locator(".text")).to_have_text("um\ndois")
    await expect(shown.composer("Ana")).to_be_focused()
    assert bench.door.posts[0].form["Body"] == "um\ndois"


async def test_an_empty_message_is_not_sent(shown: Seen, bench: Bench) -> None:
    await shown.composer("Ana").fill("  \n ")
    await shown.composer("Ana").press("Enter")
    await shown.write("Bruno", "Oi")
    await expect(shown.bubbles("Bruno")).to_have_count(1)
    await expect(shown.bubbles("Ana")).to_have_count(0)


CONTROLS = """[...document.querySelectorAll("a[href], button, textarea, input, select, [tabindex='0']")]
  .filter((each) => each.checkVisibility() && each.type !== "hidden")"""
FOCUSED = f"""() => {{
  const each = document.activeElement, style = getComputedStyle(each);
  const name = each.getAttribute("aria-label") || each.title || each.textContent.trim();
  return [{CONTROLS}.indexOf(each), name, style.outlineStyle !== "none" && style.outlineWidth !== "0px"];
}}"""


async def test_everything_is_reached_by_tab_with_a_name_and_a_ring(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    await expect(shown.beside("Ana").locator(".status")).to_be_visible()
    count = await shown.page.evaluate(f"{CONTROLS}.length")
    assert count > 20
    reached = []
    for _ in range(count):
        await shown.page.keyboard.press("Tab")
        index, name, has_ring = await shown.page.evaluate(FOCUSED)
        assert name
        assert has_ring, name
        reached.append(index)
    assert reached == list(range(count))


async def test_the_switches_open_and_close_by_keyboard(shown: Seen) -> None:
    button = shown.page.get_by_role("button", name="Faults")
    await button.focus()
    await shown.page.keyboard.press("Enter")
    panel = shown.page.get_by_role("dialog", name="What goes wrong on purpose")
    await expect(panel).to_be_visible()
    for _ in range(40):
        assert await shown.page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
        await shown.page.keyboard.press("Tab")
    await expect(shown.page.locator("dialog :focus")).to_have_count(1)
    await shown.group("Statuses").locator("summary").focus()
    await shown.page.keyboard.press("Enter")
    await shown.page.get_by_role("switch", name="Each one twice").focus()
    await shown.page.keyboard.press("Space")
    await expect(shown.page.locator("#fault-count")).to_have_text("1")
    await shown.page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(button).to_be_focused()


async def test_the_page_has_its_landmarks_and_live_regions(shown: Seen) -> None:
    await expect(shown.page.get_by_role("banner")).to_have_count(1)
    await expect(shown.page.get_by_role("main")).to_have_count(1)
    await expect(shown.phone("Ana").get_by_role("log")).to_have_attribute("aria-live", "polite")
    await expect(shown.page.get_by_role("heading", level=1)).to_have_text("Prosa")
    fields = "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
    assert await shown.page.evaluate(f"{fields}.filter(each => !each.labels.length && !each.ariaLabel).length") == 0


async def test_focus_stays_where_it_is_while_the_page_changes(shown: Seen, bench: Bench) -> None:
    bench.system.open(ANA)
    await shown.beside("Ana").get_by_role("button", name="Close").focus()
    bench.system.open(ANA, Step("1", "message.received", bench.system.now_ms, ("status pending",)))
    await expect(shown.beside("Ana").locator(".steps li")).to_have_count(1)
    await expect(shown.beside("Ana").get_by_role("button", name="Close")).to_be_focused()


async def test_a_reader_who_scrolled_up_is_left_there(shown: Seen, bench: Bench) -> None:
    for number in range(15):
        await bench.stand_in.write(ANA, body=f"{number}\n\n")
    await expect(shown.bubbles("Ana")).to_have_count(15)
    scroll = shown.phone("Ana").locator("[data-scroll]")
    assert await scroll.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < 2
    await scroll.evaluate("e => { e.scrollTop = 0 }")
    await bench.stand_in.write(ANA, body="one more")
    await expect(shown.bubbles("Ana")).to_have_count(16)
    assert await scroll.evaluate("e => e.scrollTop") == 0


@pytest.mark.parametrize("size", [PHONE, ViewportSize(width=820, height=1100), DESKTOP], ids=lambda size: f"{size['width']}px")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_no_width_needs_scrolling_to_the_side(browser: Browser, bench: Bench, size: ViewportSize, dark: bool) -> None:
    await bench.stand_in.write(ANA, body=LONG)
    await bench.stand_in.write(ANA, type="button", button_text=LONG, button_payload=LONG)
    await bench.stand_in.write(ANA, type="location", label=LONG, address=LONG)
    await bench.stand_in.write(ANA, type="image")
    bench.system.open(ANA, Step("1", f"message.{LONG}", bench.system.now_ms, (LONG,)))
    async with seen(browser, bench.url, size=size, dark=dark) as shown:
        await expect(shown.bubbles("Ana")).to_have_count(4)
        await expect(shown.beside("Ana").locator(".steps li")).to_have_count(1)
        assert await shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        sticking_out = (
            "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert await shown.page.evaluate(sticking_out) == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_text_stands_out_from_its_ground(browser: Browser, bench: Bench, dark: bool) -> None:
    """WCAG AA: 4.5 to 1, for the smallest texts too."""
    bench.system.open(ANA, Step("1", "message.received", bench.system.now_ms, ("status pending → active", "idle at 12:00")))
    await bench.stand_in.write(ANA, body="Oi")
    async with seen(browser, bench.url, dark=dark) as shown:
        await expect(shown.bubbles("Ana")).to_have_count(1)
        await expect(shown.beside("Ana").locator(".status")).to_be_visible()
        ratios = await shown.page.evaluate(CONTRASTS)
        assert len(ratios) > 30
        assert [found for found in ratios if found[0] < 4.5] == []


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const each of document.querySelectorAll("body *")) {
    const text = [...each.childNodes].filter((node) => node.nodeType === 3 && node.nodeValue.trim());
    if (!text.length || !each.checkVisibility() || each.closest(".unseen, svg, .skip, noscript, option")) continue;
    const grounds = [];
    for (let at = each; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const ground = over(grounds), ink = over([...grounds, getComputedStyle(each).color]);
    const [high, low] = [light(ground), light(ink)].sort((a, b) => b - a);
    const ratio = Math.round(((high + 0.05) / (low + 0.05)) * 100) / 100;
    found.push([ratio, each.className || each.nodeName, text[0].nodeValue.trim()]);
  }
  return found;
}"""


async def test_who_wants_no_motion_gets_none(shown: Seen, bench: Bench) -> None:
    await bench.stand_in.write(ANA, body="Oi")
    await expect(shown.bubbles("Ana")).to_have_count(1)
    assert await shown.phone("Ana").locator(".line").evaluate("e => getComputedStyle(e).animationName") == "none"
