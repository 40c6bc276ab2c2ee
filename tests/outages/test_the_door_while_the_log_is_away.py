"""Webhooks that arrive while the log is away are refused soon and cheaply, and taken as soon as it is back."""

from collections.abc import Iterator

import pytest

from tests.outages.door import FAULTS_AT_THE_DOOR, answers
from tests.outages.system import Program, System, eventually

pytestmark = pytest.mark.alone
"""Seconds and shares of a core are asserted."""

SECONDS = 2.0
LONGEST_SECONDS = 5.0
"""Twilio waits for 15; an append that nobody answers is given up after 3."""
CPU_SECONDS = 0.02
"""For one post; some two milliseconds are measured here, with what waiting costs beside."""
RECOVERED_SECONDS = 3.0


@pytest.fixture(scope="module")
def door(servers: System) -> Iterator[Program]:
    found = servers.door()
    found.start()
    eventually(lambda: found.output.count("started  "), 40, "it is up")
    yield found
    servers.end()


@pytest.mark.parametrize("fault", FAULTS_AT_THE_DOOR)
def test_posts_are_refused_soon_and_cheaply_while_the_log_is_away(servers: System, door: Program, fault: str) -> None:
    found = answers(servers, door, fault, SECONDS)
    assert set(found.statuses) == {503}, found
    assert found.longest_seconds < LONGEST_SECONDS, found
    assert found.cpu_seconds < CPU_SECONDS, found
    assert found.lines <= sum(found.statuses.values()) + 2, "one line tells of each"
    assert found.recovered_seconds < RECOVERED_SECONDS, found
