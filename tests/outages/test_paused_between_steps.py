"""A worker that is paused between two steps, longer than its lease: the other goes on soon, and nobody hears anything twice."""

from collections.abc import Iterator

import pytest

from tests.outages.pauses import POINTS, pause, two_workers
from tests.outages.stopping_points import StoppingPoints
from tests.outages.system import Program, System

pytestmark = pytest.mark.alone

PAUSE_SECONDS = 4.0
"""Twice the lease; `python -m tests.outages.figures pauses` has longer ones."""


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> StoppingPoints:
    return StoppingPoints(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="module")
def handlers(servers: System, points: StoppingPoints) -> Iterator[Program]:
    yield two_workers(servers, points)
    servers.end()


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_is_paused_between_two_steps_doubles_nothing(
    servers: System, handlers: Program, points: StoppingPoints, point: str
) -> None:
    """The witness is the phone company, which nobody of ours can write to."""
    paused = pause(servers, handlers, points, point, PAUSE_SECONDS)
    assert paused.is_right, paused
    assert len(handlers.workers()) == 2
