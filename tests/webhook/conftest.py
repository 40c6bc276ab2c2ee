"""One webhook for all tests of a module; its log is emptied before each."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.webhook.logs import FaultyLog
from tests.webhook.serving import Client, door_on, serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[Client, FaultyLog]]:
    event_log = FaultyLog()
    async with serving(door_on(event_log)) as client:
        yield client, event_log


@pytest.fixture
def client(served: tuple[Client, FaultyLog]) -> Client:
    return served[0]


@pytest.fixture
def event_log(served: tuple[Client, FaultyLog]) -> FaultyLog:
    served[1].clear()
    return served[1]
