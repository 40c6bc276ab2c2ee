"""The workers of one system keep one rate: together they send no faster than one of them might."""

from pathlib import Path

from tests.outages.system import eventually, running_servers

WORKERS = 3
PER_SECOND = 8
MESSAGES = 24


def test_three_workers_together_keep_one_rate(tmp_path: Path) -> None:
    with running_servers(tmp_path, TWILIO_MESSAGES_PER_SECOND=str(PER_SECOND)) as system:
        handlers = system.handlers(WORKERS)
        handlers.start()
        eventually(lambda: system.is_served() and len(set(system.holders())) == WORKERS, 40, "each worker has its share")
        for _ in range(MESSAGES):
            system.append()
        eventually(lambda: len(system.witness.accepted_at()) == MESSAGES, 40, "all are answered")
        sent = sorted(system.witness.accepted_at())
    assert sent[-1] - sent[0] > (MESSAGES - 1) / PER_SECOND * 2 / WORKERS, "as fast as if each had the rate for itself"
