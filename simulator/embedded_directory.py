"""The directory of one embedded server: whose it is, who may read it, and that one server at a time runs on it."""

import fcntl
import os
import pwd
import secrets
import time
from contextlib import suppress
from pathlib import Path

from simulator.embedded_errors import DirectoryInUse, DirectoryNotOurs

LEFTOVER_TIMEOUT_SECONDS = 10.0  # Postgres kills what ignores an immediate shutdown after 5 s
POLL_SECONDS = 0.01

User = tuple[int, int]


class ServerDirectory:
    """Nobody but the server's user can enter it. Its files are opened by name, and a link put in their place is not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.user: User | None = None

    def own(self) -> None:
        """Make the directory, or take it over as root. Its parents are made as ever, and those that exist stay as they are."""
        self.user = _user_for(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        if self.user is not None:
            os.chown(self.path, *self.user)
        elif self.path.stat().st_uid != os.geteuid():
            raise DirectoryNotOurs(self.path)

    def claim(self) -> int:
        """
        Lock the directory. The server inherits the descriptor, so the claim lasts as long as any process of that server.

        What a killed process of ours left behind may take a moment to end: wait for it.
        """
        descriptor = self.open("lock", os.O_RDWR | os.O_CREAT)
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise DirectoryInUse(self.path) from None
                time.sleep(POLL_SECONDS)
            else:
                return descriptor

    def open(self, name: str, flags: int) -> int:
        descriptor = os.open(self.path / name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if self.user is not None:
            os.fchown(descriptor, *self.user)
        return descriptor

    def write(self, name: str, text: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        with os.fdopen(self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w") as new:
            new.write(text)

    def ensure_password(self) -> None:
        """Every user of the machine can reach the server's port, but only ours can read this file."""
        if not self.password:
            self.write("password", secrets.token_urlsafe(24))

    @property
    def password(self) -> str:
        """Empty until there is one."""
        with suppress(FileNotFoundError):
            return (self.path / "password").read_text()
        return ""


def _user_for(directory: Path) -> User | None:
    """Whom root runs a server as: the owner of its files, at first the user that called sudo, or else `nobody`."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        owner = directory.stat()
        if owner.st_uid != 0:
            return owner.st_uid, owner.st_gid
    if int(os.environ.get("SUDO_UID", "0")) != 0:
        return int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid
