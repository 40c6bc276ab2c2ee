from collections.abc import AsyncIterator

import pytest_asyncio

from tests.simulator.stand_in import Door, StandIn, opened_door, running, settings


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    async with opened_door() as opened:
        yield opened


@pytest_asyncio.fixture
async def stand_in(door: Door) -> AsyncIterator[StandIn]:
    """Its inbound messages and its statuses go to the door; nothing takes any time."""
    configuration = settings(inbound_url=f"{door.url}/inbound", status_default_url=f"{door.url}/status")
    async with running(configuration) as started:
        yield started
