"""The directory of one `prosa dev`: everything that it writes is below it, and one run at a time has it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from development.errors import DevelopmentError, NothingRuns

DEFAULT_DIRECTORY = Path(".prosa")


class RunDirectory:
    """Where the data of a run stay. Whoever else looks here finds out whether something runs, and where it listens."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.addresses_file = self.path / "development.json"
        self._lock = self.path / "lock"

    @property
    def is_default(self) -> bool:
        """Whether commands in the working directory look here without being told."""
        return self.path == DEFAULT_DIRECTORY.absolute()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold it against a second run; however this process ends, the kernel lets go. Raises `DevelopmentError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._close_to_others()
        (self.path / ".gitignore").write_text("*\n", encoding="utf-8")
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise DevelopmentError(f"prosa dev already runs in {self.path}; a second one needs its own --data") from None
        try:
            yield
        finally:
            os.close(lock)

    def _close_to_others(self) -> None:
        """Root's servers run as somebody else, who passes through to their own directories and lists nothing."""
        if self.path.stat().st_uid == os.geteuid():
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)

    @property
    def is_claimed(self) -> bool:
        """Whether a run has it now."""
        try:
            lock = os.open(self._lock, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    @property
    def has_servers(self) -> bool:
        """Whether a run has ever made its servers here."""
        return (self.path / "valkey").is_dir() and (self.path / "postgres").is_dir()

    @property
    def addresses_of_killed_run(self) -> dict[str, str]:
        """Where processes of the last run may still be ending; nothing where it stopped in order. For whoever has claimed it."""
        try:
            addresses: dict[str, str] = json.loads(self.addresses_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # it may have been killed while it wrote
            return {}
        return addresses

    def write_addresses(self, addresses: Mapping[str, str]) -> None:
        """For `prosa say` and its like; it holds passwords, and only its owner may read it."""
        self.addresses_file.unlink(missing_ok=True)
        with os.fdopen(os.open(self.addresses_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(addresses, file, indent=2)

    def forget_addresses(self) -> None:
        """Everything has stopped in order."""
        self.addresses_file.unlink(missing_ok=True)

    def read_addresses(self) -> dict[str, str]:
        """What the run here listens on. Raises `NothingRuns`, and `DevelopmentError` where it only begins."""
        if not self.is_claimed:
            raise NothingRuns(self._absence())
        try:
            addresses: dict[str, str] = json.loads(self.addresses_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DevelopmentError(f"what runs in {self.path} has only begun to start; try again in a moment") from None
        return addresses

    def _absence(self) -> str:
        """What is wrong and, after a semicolon, what to do; why a run has ended is known to nobody by now."""
        from development.commands import data_option, prosa_command

        start = "make run" if self.is_default else f"{prosa_command()} dev{data_option(self)}"
        absence = f"nothing runs in {self.path}; start it with: {start}"
        if not self.has_servers:
            return absence
        return f"{absence}; if it ended because its log lost something: {prosa_command()} repair{data_option(self)}"
