"""Some seeds of a log that loses what it had acknowledged, with real processes and an operator; `make faults` has the rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.campaign import campaign, planned
from tests.harness.report import table
from tests.harness.servers import Servers, servers

TRIALS = (
    *("log-flushed seed 3003", "log-flushed-by-hand seed 3005", "log-stream-deleted seed 3004"),
    *("log-tail-cut seed 3003", "log-tail-cut-by-hand seed 3000", "log-tail-cut-grown seed 3007"),
)
"""With workers dead and at work, with and without a repair."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


async def test_a_log_that_lost_something_is_noticed_and_repaired_and_nothing_is_lost_or_sent_twice(
    ours: Servers, tmp_path: Path
) -> None:
    async with campaign(ours, tmp_path, print, at_once=2) as found:
        verdicts = await found.run([planned(line) for line in TRIALS])
    print(table(verdicts))  # noqa: T201 - what pytest shows on failure
    assert [(verdict.spec, verdict.violations, verdict.folder) for verdict in verdicts if verdict.violations] == []
    assert {verdict.what.rpartition(", ")[2] for verdict in verdicts} == {"repaired", "nothing to repair"}
    assert any(verdict.fetched for verdict in verdicts), "what only the lost tail knew came back"
