"""A worker that is paused longer than its lease, at work or at rest; a consumer group or a stream that somebody deletes."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from streams.engines.redis_log import FIELD, stream_key
from streams.envelope import decode
from streams.errors import EX_CONFIG
from streams.events import MessageSent, ReplyGenerated
from tests.outages.pauses import HELD_UP_SECONDS
from tests.outages.system import PARTITIONS, Program, System, eventually

pytestmark = pytest.mark.alone
"""Seconds and shares of a core are asserted."""

ROUNDS = 4
ENDED_SECONDS = 8.0
"""A second or two on an idle machine; a drain that were used up would take ten."""


def serving(system: System, workers: int, **settings: str) -> Program:
    handlers = system.handlers(workers, **settings)
    handlers.start()
    eventually(
        lambda: handlers.output.count("started  ") >= workers and system.is_served() and len(set(system.holders())) == workers,
        40,
        "all serve",
    )
    return handlers


def events(system: System) -> list[ReplyGenerated | MessageSent]:
    """What the log holds of replies and sends."""
    with system.redis as client:
        entries = [fields[FIELD] for partition in range(PARTITIONS) for _, fields in client.xrange(stream_key(partition))]
    found = [decode(value).data for value in entries]
    return [each for each in found if isinstance(each, ReplyGenerated | MessageSent)]


def test_a_worker_that_is_paused_at_work_longer_than_its_lease_doubles_nothing_and_comes_back(system: System) -> None:
    """At four moments of its work; meanwhile the other does everything, and afterwards both serve again."""
    handlers = serving(system, 2, REPLY_QUIET_SECONDS="0.4")
    before, heard, known = len(events(system)), system.witness.now(), len(system.contacts)
    for turn in range(ROUNDS):
        paused = handlers.workers()[turn % 2]
        entries = system.append_everywhere()
        moment: list[Callable[[], bool]] = [
            lambda: True,
            lambda: len(events(system)) > before,
            lambda: any(isinstance(each, MessageSent) for each in events(system)[before:]),
            lambda: system.are_handled(dict([next(iter(entries.items()))])),  # noqa: B023 - awaited at once
        ]
        eventually(moment[turn], 20, f"moment {turn} of its work")
        os.kill(paused.pid, signal.SIGSTOP)
        try:
            eventually(lambda: system.are_handled(entries), HELD_UP_SECONDS, "the other goes on with it")  # noqa: B023
            eventually(lambda: len(set(system.holders())) == 1, 20, "and serves everything")
        finally:
            os.kill(paused.pid, signal.SIGCONT)
        eventually(lambda: len(set(system.holders())) == 2 and system.is_served(), 20, "both serve again")
    assert len(handlers.workers()) == 2
    eventually(lambda: system.are_idle(), 20, "everything is finished")
    assert system.witness.accepted(heard) == dict.fromkeys(system.contacts[known:], 1)


def test_a_worker_that_was_paused_at_rest_serves_again_and_ended_nothing(system: System) -> None:
    handlers = serving(system, 2)
    workers = [worker.pid for worker in handlers.workers()]
    os.kill(workers[0], signal.SIGSTOP)
    eventually(lambda: len(set(system.holders())) == 1 and system.is_served(), 20, "the other serves everything")
    os.kill(workers[0], signal.SIGCONT)
    eventually(lambda: len(set(system.holders())) == 2 and system.is_served(), 20, "both serve again")
    assert [worker.pid for worker in handlers.workers()] == workers


@pytest.mark.parametrize("kind", ["at rest", "at work"])
def test_a_group_that_was_deleted_is_made_again_where_its_work_stands(system: System, kind: str) -> None:
    handlers = serving(system, 1)
    entries = system.append_everywhere()
    eventually(lambda: system.are_handled(entries), 20, "it works")
    if kind == "at rest":
        eventually(system.are_idle, 20, "it rests")
    with system.redis as client:
        for partition in range(PARTITIONS):
            client.xgroup_destroy(stream_key(partition), "responder")
    if kind == "at work":
        entries = system.append_everywhere()
    eventually(lambda: system.are_handled(entries), 20, "the group is there again, with its marks")
    assert "gone" in handlers.output, "and that it was gone is told"


def test_a_stream_that_was_deleted_ends_all_workers_for_good_and_is_told(system: System) -> None:
    """The last of this file: the log is of no use afterwards."""
    handlers = serving(system, 2)
    entries = system.append_everywhere()
    eventually(lambda: system.are_handled(entries), 20, "it works")
    with system.redis as client:
        client.delete(stream_key(3))
    eventually(lambda: "process failed" in handlers.output, 20, "one of them notices")
    began = time.monotonic()
    assert handlers.process.wait(40) == EX_CONFIG
    assert time.monotonic() - began < ENDED_SECONDS, "nobody waits for what cannot be done any more"
    assert "CheckpointAhead" in handlers.output
