"""The system's Chromium, and what it saw of a page."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Locator, Page, ViewportSize, async_playwright

from tests.conftest import NO_BROWSER

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = ViewportSize(width=1440, height=900)
PATIENCE_MS = 15_000

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective + event.sample));
"""


def require_chromium() -> str:
    """Where it is. Without one the test is skipped; where everything has to be proven, it fails."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(NO_BROWSER.replace("skipped", "cannot run"))
    pytest.skip(NO_BROWSER)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser with an empty profile of its own, gone afterwards."""
    path = require_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Seen:
    """A page with two phones or more. `wrong` is whatever the browser complained about."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def station(self, name: str) -> Locator:
        return self.page.get_by_role("article", name=name)

    def phone(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=f"Phone of {name}")

    def bubbles(self, name: str) -> Locator:
        return self.phone(name).locator(".bubble")

    def composer(self, name: str) -> Locator:
        return self.phone(name).get_by_role("textbox")

    def beside(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=f"Conversation of {name}")

    async def write(self, name: str, text: str) -> None:
        await self.composer(name).fill(text)
        await self.composer(name).press("Enter")

    async def open_switches(self, *groups: str) -> None:
        """The panel, and these groups of it."""
        await self.page.get_by_role("button", name="Faults").click()
        for group in groups:
            await self.group(group).locator("summary").click()

    def group(self, name: str) -> Locator:
        """Of switches, by the title of it."""
        return self.page.locator("#switches details").filter(has=self.page.locator("summary strong", has_text=name))

    async def violations(self) -> list[str]:
        found: list[str] = await self.page.evaluate("window.violations")
        return found


@asynccontextmanager
async def seen(browser: Browser, url: str, *, size: ViewportSize = DESKTOP, dark: bool = False) -> AsyncIterator[Seen]:
    """Open a page; its errors and dialogs are noted, and none may be left at the end."""
    context = await browser.new_context(viewport=size, color_scheme="dark" if dark else "light", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    result = Seen(page)
    page.on("pageerror", lambda error: result.wrong.append(f"error: {error}"))
    page.on("console", lambda message: result.wrong.append(message.text) if message.type in {"error", "warning"} else None)

    async def dismiss(dialog: object) -> None:
        result.wrong.append("a dialog")
        await dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", dismiss)
    await page.add_init_script(WATCH)
    try:
        await page.goto(url)
        yield result
        assert result.wrong == []
        assert await result.violations() == []
    finally:
        await context.close()
