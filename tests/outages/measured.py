"""What an outage of the log costs: processor time, log lines, and seconds until everything goes on."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.outages.log_faults import away
from tests.outages.system import Program, System, cpu_seconds, eventually

NOTICING_SECONDS = 1.0


@dataclass(frozen=True)
class Cost:
    """Of one outage; `cpu` is in cores."""

    cpu: Mapping[str, float]
    lines: Mapping[str, int]
    recovered_seconds: float

    def __str__(self) -> str:
        cpu = " ".join(f"{name} {share:.1%}" for name, share in self.cpu.items())
        lines = " ".join(f"{name} {count}" for name, count in self.lines.items())
        return f"cpu: {cpu} · lines: {lines} · goes on after {self.recovered_seconds:.2f} s"


@contextmanager
def everything(system: System, workers: int = 2, **settings: str) -> Iterator[Sequence[Program]]:
    """Handlers, clock and webhook, all serving."""
    programs = (
        system.handlers(workers, "handlers", **settings),
        system.program("clock", "faststream", "run", "handlers:clock", **settings),
        system.door(**settings),
    )
    for program in programs:
        program.start()
    eventually(lambda: all(program.output.count("started  ") for program in programs), 40, "all are up")
    entries = system.append_everywhere()
    eventually(lambda: system.are_handled(entries), 40, "messages are answered")
    yield programs


def measure(system: System, programs: Sequence[Program], fault: str, seconds: float) -> Cost:
    """What one of the ways costs in which the log can be away."""
    return measure_with(system, programs, away(system, fault), seconds)


def measure_with(system: System, programs: Sequence[Program], broken: AbstractContextManager[None], seconds: float) -> Cost:
    """
    Break the log for so long, and mend it; fails where a program ended or does not go on.

    The processor's time is that after the first second, in which all notice; lines are counted from the beginning.
    """
    eventually(system.are_idle, 30, "everything is finished")
    lines = _lines(programs)
    with broken:
        time.sleep(NOTICING_SECONDS)
        began = _cpu(programs)
        time.sleep(seconds)  # what is measured is what they do meanwhile
        cpu = {name: (after - began[name]) / seconds for name, after in _cpu(programs).items()}
        told = _lines(programs)
    answered_at = time.monotonic()
    entries = system.append_everywhere()
    eventually(lambda: system.are_handled(entries), 30, "messages are answered again")
    recovered = time.monotonic() - answered_at
    for program in programs:
        assert program.process.poll() is None, f"{program.name} ended with {program.process.returncode}"
    return Cost(
        cpu,
        {name: count - lines[name] for name, count in told.items()},
        recovered,
    )


def _cpu(programs: Sequence[Program]) -> dict[str, float]:
    return {program.name: cpu_seconds(program.pids()) for program in programs}


def _lines(programs: Sequence[Program]) -> dict[str, int]:
    return {program.name: program.output.count("\n") for program in programs}
