"""
The figures of this folder, printed again: `python -m tests.outages.figures outages|door|kills|stops|pauses [--times N]`.

`outages` is each way in which the log can be away, `door` the same with webhooks that are posted meanwhile; `kills` the time from
a worker's SIGKILL until another handles a message of its partitions; `stops` the time of a graceful stop, and until another
serves; `pauses` a worker that sleeps for longer than any limit of ours at the points where that may do harm.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.outages.door import FAULTS_AT_THE_DOOR, answers
from tests.outages.log_faults import FAULTS
from tests.outages.measured import everything, measure
from tests.outages.pauses import POINTS, pause, two_workers
from tests.outages.stopping_points import StoppingPoints
from tests.outages.system import LEASE_SECONDS, Program, System, eventually, running_servers

OUTAGE_SECONDS = 12.0
PAUSE_SECONDS = 33.0
"""Longer than the lease, and than the limit of any statement."""


def outages(system: System, times: int) -> None:
    with everything(system) as programs:
        for fault in FAULTS * times:
            tell(f"{fault:10} {measure(system, programs, fault, OUTAGE_SECONDS)}")


def kills(system: System, times: int) -> None:
    """Of a worker of three, under a lease of two seconds; its supervisor starts another meanwhile."""
    handlers = system.handlers(3)
    handlers.start()
    eventually(lambda: handlers.output.count("started  ") >= 3 and len(set(system.holders())) == 3, 40, "three share")
    chance, seconds = random.Random(1), []  # noqa: S311 - repeatable
    for _ in range(times):
        worker = chance.choice(handlers.workers())
        os.kill(worker.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        entries = system.append_everywhere()
        eventually(lambda: system.are_handled(entries), 30, "all partitions go on")  # noqa: B023 - awaited at once
        seconds.append(time.monotonic() - killed_at)
        eventually(lambda: _three_share(system, handlers), 30, "three share again")
    tell(f"a worker's SIGKILL until all of its partitions go on, lease {LEASE_SECONDS:g} s: {spread(seconds)}")


def door(system: System, times: int) -> None:
    """Ten posts a second, and nobody else runs."""
    posted = system.door()
    posted.start()
    eventually(lambda: posted.output.count("started  "), 40, "it is up")
    for fault in FAULTS_AT_THE_DOOR * times:
        tell(f"{fault:10} {answers(system, posted, fault, OUTAGE_SECONDS)}")


def pauses(system: System, times: int) -> None:
    points = StoppingPoints(system.directory / "points")
    handlers = two_workers(system, points)
    for point in POINTS * times:
        paused = pause(system, handlers, points, point, PAUSE_SECONDS)
        doubled = sum(count - 1 for count in paused.accepted.values())
        lost = len(set(paused.contacts) - paused.accepted.keys())
        tell(
            f"{point:18} {PAUSE_SECONDS:g} s: the other goes on after {paused.held_up_seconds:.2f} s · "
            f"contacts {len(paused.contacts)} · lost {lost} · doubled {doubled}"
        )


def stops(system: System, times: int) -> None:
    """Of one of two processes that have nothing in work, under a lease that nobody waits for."""
    ended, served = [], []
    staying = system.handlers(name="staying", LEASE_SECONDS="60")
    staying.start()
    eventually(system.is_served, 40, "one serves everything")
    for _ in range(times):
        leaving = system.handlers(name="leaving", LEASE_SECONDS="60")
        leaving.start()
        eventually(lambda: len(set(system.holders())) == 2, 40, "two share")
        began = time.monotonic()
        leaving.process.send_signal(signal.SIGTERM)
        eventually(lambda: len(set(system.holders())) == 1 and system.is_served(), 30, "one serves everything again")
        served.append(time.monotonic() - began)
        assert leaving.process.wait(30) == 0
        ended.append(time.monotonic() - began)
    tell(f"SIGTERM until another serves: {spread(served)}")
    tell(f"SIGTERM until the exit:       {spread(ended)}")


def _three_share(system: System, handlers: Program) -> bool:
    return len(handlers.workers()) == 3 and len(set(system.holders())) == 3 and system.is_served()


def spread(seconds: Sequence[float]) -> str:
    found = sorted(seconds)
    last = len(found) - 1
    middle, late = statistics.median(found), found[min(last, round(0.95 * last))]
    return f"p50 {middle:.2f} s, p95 {late:.2f} s, longest {found[-1]:.2f} s ({len(found)} times)"


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


FIGURES = {"outages": outages, "door": door, "kills": kills, "stops": stops, "pauses": pauses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", choices=[*FIGURES])
    parser.add_argument("--times", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the servers run as another user where we are root
        with running_servers(Path(folder)) as system:
            FIGURES[asked.figure](system, asked.times)


if __name__ == "__main__":
    main()
