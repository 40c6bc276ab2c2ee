"""How the handlers end: with their supervisor, within their limit, and so that another goes on at once."""

import os
import signal

import pytest

from streams.engines.redis_leases import HOLDERS_KEY, MEMBERS_KEY
from tests.outages.system import Program, System, eventually

pytestmark = pytest.mark.alone
"""Seconds and shares of a core are asserted."""

STOP_SECONDS = 25.0
"""The limit of a stop, whatever hangs."""


def is_up(program: Program, workers: int) -> bool:
    return program.output.count("started  ") >= workers


def nobody_is_member(system: System) -> bool:
    with system.redis as client:
        return not client.zcard(MEMBERS_KEY) and not client.hlen(HOLDERS_KEY)


@pytest.mark.parametrize("when", ["while they load", "while they serve"])
def test_workers_end_with_a_supervisor_that_is_killed_and_give_back_what_they_held(system: System, when: str) -> None:
    handlers = system.handlers(workers=3)
    handlers.start()
    eventually(lambda: len(handlers.workers()) == 3, 20, "three workers are spawned")
    if when == "while they serve":
        eventually(lambda: is_up(handlers, 3) and system.is_served(), 30, "three workers serve")
    workers = handlers.workers()
    handlers.process.kill()
    handlers.process.wait()
    eventually(lambda: not any(worker.is_alive for worker in workers), 10, "no worker outlives its supervisor")
    assert nobody_is_member(system)


def test_a_worker_that_hangs_does_not_keep_its_siblings_from_stopping(system: System) -> None:
    """FastStream's supervisor asks one after the other, and gives each 30 s."""
    handlers = system.handlers(workers=3)
    handlers.start()
    eventually(lambda: is_up(handlers, 3) and system.is_served(), 30, "three workers serve")
    hanging, *siblings = handlers.workers()
    os.kill(hanging.pid, signal.SIGSTOP)
    handlers.process.send_signal(signal.SIGTERM)
    eventually(lambda: not any(worker.is_alive for worker in siblings), 10, "the others stop")
    assert handlers.process.poll() is None
    os.kill(hanging.pid, signal.SIGCONT)
    assert handlers.process.wait(10) == 0
    assert nobody_is_member(system)


def test_what_a_stopped_process_served_is_served_by_another_at_once(system: System) -> None:
    """Within a second on an idle machine; the lease is so long that nobody can have waited for it."""
    leaving, staying = (system.handlers(name=name, LEASE_SECONDS="60") for name in ("leaving", "staying"))
    leaving.start()
    eventually(system.is_served, 30, "one serves everything")
    staying.start()
    eventually(lambda: len(set(system.holders())) == 2 and system.is_served(), 30, "both serve their share")
    code, seconds = leaving.stop()
    assert (code, seconds < 10) == (0, True)
    eventually(lambda: len(set(system.holders())) == 1 and system.is_served(), 10, "one serves everything again")
    entries = system.append_everywhere()
    eventually(lambda: system.are_handled(entries), 10, "and handles it")


@pytest.mark.parametrize("fault", ["refused", "half open", "held"])
def test_a_stop_while_the_log_is_away_ends_within_its_limit(system: System, fault: str) -> None:
    handlers = system.handlers(workers=2, LEASE_SECONDS="8")
    handlers.start()
    eventually(lambda: is_up(handlers, 2) and system.is_served(), 30, "two workers serve")
    match fault:
        case "refused":
            system.proxy.reset()
            system.proxy.refuse()
        case "half open":
            system.proxy.half_open()
        case _:
            system.proxy.hold()
    code, seconds = handlers.stop(within_seconds=STOP_SECONDS + 10)
    assert (code, seconds < STOP_SECONDS) == (0, True), seconds


def test_a_second_signal_neither_hurries_nor_breaks_a_stop(system: System) -> None:
    """What is in work is finished all the same: the quiet window holds it for a while."""
    handlers = system.handlers(REPLY_QUIET_SECONDS="2")
    handlers.start()
    eventually(system.is_served, 30, "it serves")
    entries = system.append_everywhere()
    eventually(lambda: " opened " in handlers.output, 10, "they are in work")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        handlers.process.send_signal(number)
        eventually(lambda: "stopping" in handlers.output, 10, "the stop begins")
    assert handlers.process.wait(STOP_SECONDS) == 0
    assert nobody_is_member(system)
    assert "Traceback" not in handlers.output
    following = system.handlers(name="following")
    following.start()
    eventually(lambda: system.are_handled(entries), 30, "whatever was left is gone on with")


def test_a_kill_in_the_middle_of_a_stop_loses_nothing(system: System) -> None:
    leaving = system.handlers(name="leaving", REPLY_QUIET_SECONDS="5")
    leaving.start()
    eventually(system.is_served, 30, "it serves")
    entries = system.append_everywhere()
    eventually(lambda: " opened " in leaving.output, 10, "they are in work")
    leaving.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in leaving.output, 10, "the stop begins")
    assert leaving.process.poll() is None
    leaving.process.kill()
    leaving.process.wait()
    following = system.handlers(name="following")
    following.start()
    eventually(lambda: system.are_handled(entries), 30, "another goes on with it")
