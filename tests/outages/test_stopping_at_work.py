"""Stops and kills while something is under way: what is left goes on elsewhere at once, and everything is answered once."""

import signal
import time

import pytest

from simulator.servers import free_port
from streams.engines.redis_log import stream_key
from streams.errors import EX_CONFIG
from tests.outages.system import Program, System, eventually

pytestmark = pytest.mark.alone
"""Seconds and shares of a core are asserted."""

LONG_LEASE = "60"
"""Nobody can have waited for it."""
DRAIN_SECONDS = 10.0
SLOW_SECONDS = 13.0
SOON_SECONDS = 5.0
"""For what takes a second or two on an idle machine."""


def served_by_two(system: System) -> tuple[Program, Program]:
    """The first is to leave; both serve their share."""
    settings = {"LEASE_SECONDS": LONG_LEASE, **system.witness.model_settings}
    leaving, staying = (system.handlers(1, name, **settings) for name in ("leaving", "staying"))
    leaving.start()
    staying.start()
    eventually(lambda: len(set(system.holders())) == 2 and system.is_served(), 30, "both serve their share")
    return leaving, staying


def asked_everywhere(system: System, **model: float) -> tuple[dict[int, str], set[str], int]:
    """A message in each partition, for each of which a model is at work; the contacts, and where the ledger stood before."""
    before, known = system.witness.now(), len(system.contacts)
    system.witness.break_down(model={"rates": {"slow": 1.0}, **model})
    entries = system.append_everywhere()
    contacts = set(system.contacts[known:])
    eventually(lambda: system.witness.asked(before) >= len(contacts), 20, "the model is at work for each")
    return entries, contacts, before


def each_is_answered_once(system: System, entries: dict[int, str], contacts: set[str], before: int) -> None:
    eventually(lambda: system.are_handled(entries, b"sender") and system.are_idle(), 30, "everything is finished")
    assert system.witness.accepted(before) == dict.fromkeys(contacts, 1)


def test_a_stop_while_a_model_works_waits_for_it_no_longer_than_the_drain_and_the_other_answers(system: System) -> None:
    leaving, _ = served_by_two(system)
    entries, contacts, before = asked_everywhere(system, slow_seconds=SLOW_SECONDS)
    leaving.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in leaving.output, SOON_SECONDS, "the stop begins")
    system.witness.break_down()  # whoever asks now is answered
    began = time.monotonic()
    assert leaving.process.wait(30) == 0
    assert time.monotonic() - began < DRAIN_SECONDS + SOON_SECONDS
    assert "given back" in leaving.output
    each_is_answered_once(system, entries, contacts, before)


def test_an_answer_that_comes_within_the_drain_is_sent_by_who_leaves(system: System) -> None:
    leaving, _ = served_by_two(system)
    entries, contacts, before = asked_everywhere(system, slow_seconds=3.0)
    leaving.process.send_signal(signal.SIGTERM)
    assert leaving.process.wait(30) == 0
    each_is_answered_once(system, entries, contacts, before)
    assert system.witness.asked(before) == len(contacts), "nobody asked a second time"


def test_a_kill_in_the_middle_of_a_drain_loses_and_doubles_nothing(system: System) -> None:
    leaving, following = (system.handlers(1, name, **system.witness.model_settings) for name in ("leaving", "following"))
    leaving.start()
    eventually(system.is_served, 30, "one serves everything")
    entries, contacts, before = asked_everywhere(system, slow_seconds=4.0)
    leaving.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in leaving.output, SOON_SECONDS, "the stop begins")
    leaving.process.kill()
    leaving.process.wait()
    system.witness.break_down()
    following.start()
    each_is_answered_once(system, entries, contacts, before)


def test_a_stop_while_twilio_is_unreachable_waits_for_no_next_try(system: System) -> None:
    handlers = system.handlers(TWILIO_API_URL=f"http://127.0.0.1:{free_port()}", RETRY_BASE_SECONDS="30")
    handlers.start()
    eventually(system.is_served, 30, "it serves")
    system.append_everywhere()
    eventually(lambda: handlers.output.count("send postponed") >= 8, 20, "each waits for its next try")
    code, seconds = handlers.stop()
    assert (code, seconds < SOON_SECONDS) == (0, True), seconds


def test_a_fatal_stop_waits_for_no_model(system: System) -> None:
    """The last of this file: the log is of no use afterwards."""
    handlers = system.handlers(1, **system.witness.model_settings)
    handlers.start()
    eventually(system.is_served, 30, "it serves")
    asked_everywhere(system, slow_seconds=SLOW_SECONDS)
    with system.redis as client:
        client.delete(stream_key(3))
    eventually(lambda: "process failed" in handlers.output, 30, "the first one notices")
    began = time.monotonic()
    assert handlers.process.wait(30) == EX_CONFIG
    assert time.monotonic() - began < SOON_SECONDS
