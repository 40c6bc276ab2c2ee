"""An embedded server of each kind, on a path that has what breaks command lines."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, free_port


@pytest.fixture(params=[EmbeddedValkey, EmbeddedPostgres], ids=["valkey", "postgres"])
def kind(request: pytest.FixtureRequest) -> type[EmbeddedServer]:
    given: type[EmbeddedServer] = request.param
    return given


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / 'a person\'s "notes" $HOME é' / ".prosa" / "server"


@pytest.fixture
def make_server(kind: type[EmbeddedServer], directory: Path) -> Iterator[Callable[[], EmbeddedServer]]:
    """Makes servers on the same directory, each on a port of its own; all are stopped at the end."""
    made: list[EmbeddedServer] = []

    def make() -> EmbeddedServer:
        made.append(kind(directory, free_port()))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(make_server: Callable[[], EmbeddedServer]) -> EmbeddedServer:
    server = make_server()
    server.start()
    return server
