"""
Real servers for every test that claims something about them: embedded ones, or those that two variables name.

`PROSA_TEST_REDIS_URL` and `PROSA_TEST_DATABASE_URL` must name servers that are there for tests only: the databases of
the first are emptied, and the user of the second makes and drops databases.
"""

import itertools
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
import redis
import structlog

from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, free_port

REDIS_DATABASES = 16
_redis_numbers = itertools.cycle(range(1, REDIS_DATABASES))

NO_BROWSER = "browser tests skipped: no Chromium; apt-get install chromium"


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts and interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """The last line of a run tells what nobody looked at."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and any(NO_BROWSER in str(report.longrepr) for report in reporter.getreports("skipped")):
        reporter.write_line(NO_BROWSER, yellow=True)


@pytest.fixture(autouse=True)
def log_lines_as_they_were() -> Iterator[None]:
    """Whoever runs a command inside a test also sets where its log lines go; that is over with the test."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey or Redis for all tests; a test that may not see what others left takes `redis_url`."""
    given = os.environ.get("PROSA_TEST_REDIS_URL")
    yield from [given] if given else _running(EmbeddedValkey(tmp_path_factory.mktemp("valkey"), free_port()))


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A server that the tests of one file break, each of which leaves it well."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("broken") / "valkey", free_port())
    for _ in _running(server):
        yield server


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres for all tests; a test that may not see what others left takes `database_url`."""
    given = os.environ.get("PROSA_TEST_DATABASE_URL")
    yield from [given] if given else _running(EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), free_port()))


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """An empty database; its neighbours take the next number, so that a straggler of one test does not disturb the next."""
    url = _with_path(valkey_url, str(next(_redis_numbers)))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A new, empty database, dropped afterwards with whatever is still connected to it."""
    name = f"test_{uuid4().hex}"
    await _administer(postgres_url, f"CREATE DATABASE {name}")
    yield _with_path(postgres_url, name)
    await _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def _running(server: EmbeddedServer) -> Iterator[str]:
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


async def _administer(url: str, command: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()
