"""A log that wants a password which it was given to nobody: one worker, a clock and a door wait for it cheaply, and go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.outages.measured import everything, measure_with
from tests.outages.system import System
from tests.outages.test_the_log_is_away import MOST_CORES, RECOVERED_SECONDS, SECONDS, TOLD_ONCE

pytestmark = pytest.mark.alone
"""Seconds and shares of a core are asserted."""


@contextmanager
def without_passwords(system: System) -> Iterator[str]:
    """Nobody needs one; the URL of who has none."""
    with system.redis as client:
        client.config_set("requirepass", "")
    url = urlsplit(system.proxy.url)
    try:
        yield url._replace(netloc=system.proxy.address).geturl()
    finally:
        with system.redis as client:
            client.config_set("requirepass", system.valkey.directory.password)


@contextmanager
def wanted(system: System) -> Iterator[None]:
    """From now on everybody needs one, and nobody is connected any more: NOAUTH to each command of who has none."""
    with system.redis as client:
        client.config_set("requirepass", system.valkey.directory.password)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
        client.config_set("requirepass", "")


def test_one_worker_that_is_told_noauth_waits_cheaply_and_goes_on(system: System) -> None:
    with without_passwords(system) as url, everything(system, workers=1, REDIS_URL=url) as programs:
        cost = measure_with(system, programs, wanted(system), SECONDS)
    assert max(cost.cpu.values()) <= MOST_CORES, cost
    assert max(cost.lines.values()) <= TOLD_ONCE, cost
    assert cost.recovered_seconds < RECOVERED_SECONDS, cost
