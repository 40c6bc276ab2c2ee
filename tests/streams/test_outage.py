"""What is told of a server that is away: two lines, however often it is tried in between."""

from structlog.testing import capture_logs

from streams.errors import LogUnavailable
from streams.outage import Outage


def test_an_outage_is_told_when_it_begins_and_when_it_ends_with_whose_work_it_holds_up() -> None:
    outage = Outage("cannot commit", group="sender")
    with capture_logs() as lines:
        for _ in range(2):
            outage.over()
            for _ in range(3):
                outage.failed(LogUnavailable("TimeoutError"))
            assert outage.lasts
            outage.over()
    whose = {"what": "cannot commit", "group": "sender"}
    begun = {"event": "outage.begun", "log_level": "warning", "reason": "TimeoutError", **whose}
    ended = {"event": "outage.ended", "log_level": "info", "failures": 3, **whose}
    assert lines == [begun, ended] * 2
