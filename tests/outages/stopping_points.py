"""Programs of ours that stop themselves at a crash point when they are told to: the first process that comes there."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import Process
from tests.outages.system import Program, eventually

SITECUSTOMIZE = """
import os, signal
from streams import crash_points

ARMED = {armed!r}


def stop_if_armed(point):
    try:
        os.unlink(os.path.join(ARMED, point))
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


crash_points.on_reached = stop_if_armed
"""


@dataclass(frozen=True)
class StoppingPoints:
    """What is armed stops one process once; somebody has to wake it."""

    directory: Path

    def environment(self) -> dict[str, str]:
        """For programs that may be stopped so."""
        self._armed.mkdir(parents=True, exist_ok=True)
        (self.directory / "sitecustomize.py").write_text(SITECUSTOMIZE.format(armed=str(self._armed)))
        path = [str(self.directory), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(path)}

    def stop_at(self, point: str) -> None:
        (self._armed / point).touch()

    def stopped(self, program: Program, within_seconds: float) -> Process:
        """The worker that came there."""
        eventually(lambda: any(map(_is_stopped, program.workers())), within_seconds, "a worker comes to the point")
        return next(filter(_is_stopped, program.workers()))

    @property
    def _armed(self) -> Path:
        return self.directory / "armed"


def _is_stopped(process: Process) -> bool:
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(") ")[2].startswith("T")
