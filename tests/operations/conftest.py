"""A world with a person in it: see `tests.handlers.world`."""

from collections.abc import AsyncIterator, Iterator

import pytest

from operations.connection import Connection
from streams import crash_points
from tests.handlers.conftest import empty_database_url, handlers_database_url, world
from tests.handlers.world import World
from tests.operations.damaged_log import DamagedLog, a_damaged_log

__all__ = ["empty_database_url", "handlers_database_url", "world"]


@pytest.fixture
def connection(world: World) -> Connection:
    """What a command has in its hands."""
    return Connection(world.log, world.database)


@pytest.fixture
async def damaged(redis_url: str, empty_database_url: str) -> AsyncIterator[DamagedLog]:
    """A log that is whole so far; what a test takes away from it is `damages`."""
    async with a_damaged_log(redis_url, empty_database_url) as log:
        yield log


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """What one test does at a crash point, the next one does not."""
    yield
    crash_points.on_reached = lambda _: None
