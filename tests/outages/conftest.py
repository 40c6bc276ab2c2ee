"""Servers for the tests of one file: each breaks them and mends them again."""

from collections.abc import Iterator

import pytest

from tests.outages.system import System, running_servers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_servers(tmp_path_factory.mktemp("outage")) as system:
        yield system


@pytest.fixture
def system(servers: System) -> Iterator[System]:
    """No program of ours runs before and after; the log goes on."""
    yield servers
    servers.proxy.heal()
    servers.end()
    servers.forget_owners()
