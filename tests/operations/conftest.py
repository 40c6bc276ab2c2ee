"""A world with a person in it: see `tests.handlers.world`."""

import pytest

from operations.connection import Connection
from tests.handlers.conftest import empty_database_url, handlers_database_url, world
from tests.handlers.world import World

__all__ = ["empty_database_url", "handlers_database_url", "world"]


@pytest.fixture
def connection(world: World) -> Connection:
    """What a command has in its hands."""
    return Connection(world.log, world.database)
