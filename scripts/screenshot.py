"""
Take the picture of the phone page that the README shows, anew.

    .venv/bin/python -m scripts.screenshot

It starts a `prosa dev` of its own in a folder that is thrown away, lets two contacts chat, moves the clock, and writes
docs/images/phone.png. It needs Chromium; with the font Inter installed the picture looks as it does in the README.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import ViewportSize, expect

from tests.acceptance.running import QUICK, Prosa, running
from tests.browser.chromium import Seen, chromium, seen

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "phone.png"
SIZE = ViewportSize(width=1280, height=820)
LARGEST_BYTES = 250_000
CALM_MS = 2_500
"""After which nothing is highlighted as new any more."""


async def _chat(shown: Seen) -> None:
    """Ana is answered, sends a photograph, and falls silent for a day; then Bruno writes, and Rita takes over."""
    await shown.write("Ana", "Oi! Vocês têm mesa para hoje à noite?")
    await expect(shown.phone("Ana").locator(".theirs .delivery-read")).to_have_count(1)
    await shown.phone("Ana").get_by_role("button", name="Image").click()
    await expect(shown.phone("Ana").locator(".theirs .delivery-read")).to_have_count(2)
    for button, status in (("20 minutes later", "idle"), ("25 hours later", "expired")):
        await shown.page.get_by_role("button", name=button).click()
        await expect(shown.beside("Ana").locator(".status")).to_have_text(status)
    await shown.phone("Bruno").get_by_role("button", name="Burst of 3").click()
    await expect(shown.phone("Bruno").locator(".theirs .delivery-read")).to_have_count(1)
    rita = shown.beside("Bruno")
    await rita.get_by_role("button", name="Take over").click()
    await rita.get_by_role("textbox").fill("Aqui é a Rita. Mesa para dois às 20h, pode ser?")
    await rita.get_by_role("textbox").press("Enter")
    await expect(shown.phone("Bruno").locator(".theirs .delivery-read")).to_have_count(2)
    await shown.write("Bruno", "Combinado, obrigado!")
    await expect(rita.locator(".steps li").first).to_contain_text("1 unanswered")


async def main() -> int:
    with TemporaryDirectory() as folder:
        dev = Prosa(Path(folder), settings={**QUICK, "LOGNAME": "rita"})
        async with running(dev), chromium() as browser, seen(browser, dev.addresses["TWILIO_API_URL"], size=SIZE) as shown:
            await _chat(shown)
            await shown.page.wait_for_timeout(CALM_MS)
            await shown.page.mouse.move(0, 0)
            await shown.page.evaluate("document.activeElement.blur()")
            PICTURE.parent.mkdir(parents=True, exist_ok=True)
            await shown.page.screenshot(path=PICTURE)
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE}: {size} bytes\n")
    return 0 if size < LARGEST_BYTES else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
