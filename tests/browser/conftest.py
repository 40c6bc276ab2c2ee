from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.chromium import Seen, chromium, seen
from tests.browser.fake_beside import FakeSystem
from tests.simulator.stand_in import Door, StandIn, opened_door, running, settings


@dataclass
class Bench:
    """The stand-in with its page, the webhook that it posts to, and a read model by hand."""

    stand_in: StandIn
    door: Door
    system: FakeSystem

    @property
    def url(self) -> str:
        return f"{self.stand_in.url}/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def bench() -> AsyncIterator[Bench]:
    system = FakeSystem()
    async with opened_door() as door, running(settings(inbound_url=f"{door.url}/inbound"), system.beside) as stand_in:
        yield Bench(stand_in, door, system)


@pytest_asyncio.fixture(loop_scope="module")
async def shown(browser: Browser, bench: Bench) -> AsyncIterator[Seen]:
    """The page as it is for somebody who comes for the first time."""
    async with seen(browser, bench.url) as page:
        yield page
