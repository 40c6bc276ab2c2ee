"""A worker that is paused at a crash point, longer than its lease; what its neighbour does meanwhile, and what comes of it."""

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.outages.stopping_points import StoppingPoints
from tests.outages.system import Program, System, eventually

HELD_UP_SECONDS = 6.0
"""The lease is two seconds, and half of that again may pass until another looks; the rest is for a machine under load."""
POINTS = ("group.committing", "lease.renewed", "projector.folded", "projector.written", "projector.moved")


@dataclass(frozen=True)
class Paused:
    """How long the neighbour was held up, and how often Twilio took something for each contact that had written."""

    held_up_seconds: float
    accepted: Counter[str]
    contacts: Sequence[str]

    @property
    def is_right(self) -> bool:
        return self.accepted == dict.fromkeys(self.contacts, 1)


def two_workers(system: System, points: StoppingPoints) -> Program:
    handlers = system.handlers(2, "handlers", REPLY_QUIET_SECONDS="0.2", **points.environment())
    handlers.start()
    eventually(lambda: handlers.output.count("started  ") >= 2 and _both_serve(system), 40, "both serve")
    return handlers


def pause(system: System, handlers: Program, points: StoppingPoints, point: str, seconds: float) -> Paused:
    """Let one of two stop there, with messages in all partitions; wake it after so long, and wait until all is finished."""
    before, known = system.witness.now(), len(system.contacts)
    points.stop_at(point)
    entries = system.append_everywhere()
    paused = points.stopped(handlers, 20)
    began = time.monotonic()
    try:
        eventually(lambda: system.are_handled(entries), HELD_UP_SECONDS, "the other goes on with all of it")
        held_up = time.monotonic() - began
        more = system.append_everywhere()
        eventually(lambda: system.are_handled(more), HELD_UP_SECONDS, "and with what comes now")
        eventually(lambda: time.monotonic() - began >= seconds, seconds + 1, "it was paused so long")
    finally:
        os.kill(paused.pid, signal.SIGCONT)
    eventually(lambda: _both_serve(system) and system.are_idle(), 40, "both serve again, and everything is finished")
    return Paused(held_up, system.witness.accepted(before), system.contacts[known:])


def _both_serve(system: System) -> bool:
    return len(set(system.holders())) == 2 and system.is_served()
