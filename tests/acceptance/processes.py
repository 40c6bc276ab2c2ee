"""What runs below a process, as Linux tells it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LOOPBACK = "0100007F"
"""127.0.0.1, as the kernel writes it."""
LISTENS = "0A"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with the same id."""

    pid: int
    started: int
    command: str

    @property
    def is_alive(self) -> bool:
        """A dead one that nobody has buried yet does nothing any more."""
        stat = _stat(self.pid)
        return stat is not None and int(stat[19]) == self.started and stat[0] != "Z"


def process_of(pid: int) -> Process | None:
    """The process that has this id now."""
    stat = _stat(pid)
    if stat is None:
        return None
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    return Process(pid, int(stat[19]), command)


def descendants(pid: int) -> list[Process]:
    """Everything that this process started, and what that started; not itself."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        if stat := _stat(int(folder.name)):
            children.setdefault(int(stat[1]), []).append(int(folder.name))
    found, unseen = [], [pid]
    while unseen:
        below = children.get(unseen.pop(), [])
        unseen += below
        found += [process for child in below if (process := process_of(child))]
    return found


def running_in(directory: Path) -> list[Process]:
    """Whatever has this folder as its own, or names it in its command line."""
    processes = [process_of(int(folder.name)) for folder in PROC.glob("[0-9]*")]
    return [process for process in processes if process and process.is_alive and _concerns(process, directory)]


def listening_addresses(processes: Iterable[Process]) -> list[str]:
    """Where these wait for connections, one address for each socket."""
    sockets = {
        str(link.readlink()) for process in processes for link in (PROC / str(process.pid) / "fd").iterdir() if link.is_symlink()
    }
    lines = [line.split() for table in ("tcp", "tcp6") for line in (PROC / "net" / table).read_text().splitlines()[1:]]
    return [fields[1].partition(":")[0] for fields in lines if fields[3] == LISTENS and f"socket:[{fields[9]}]" in sockets]


def _concerns(process: Process, directory: Path) -> bool:
    try:
        where = (PROC / str(process.pid) / "cwd").readlink()
    except OSError:
        return False
    return str(directory) in process.command or where.is_relative_to(directory)


def _stat(pid: int) -> list[str] | None:
    """The fields after the name, which may hold blanks and brackets: the state first, then the parent."""
    try:
        return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
    except OSError:
        return None
