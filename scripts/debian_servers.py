"""
Run a command against Debian's Redis and PostgreSQL 15 instead of the embedded servers.

    .venv/bin/python scripts/debian_servers.py make test

What is missing is installed by apt-get, if this is root; services that the packages would start are not started. Both
servers run on free loopback ports with data that is thrown away, under the laws of the embedded ones. The command finds
them in PROSA_TEST_REDIS_URL and PROSA_TEST_DATABASE_URL. Its exit code is ours.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, free_port

REDIS_SERVER = Path("/usr/bin/redis-server")
POSTGRES_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PACKAGES = {"redis-server": REDIS_SERVER, "postgresql-15": POSTGRES_PROGRAMS / "postgres"}
POLICY = Path("/usr/sbin/policy-rc.d")  # asked by Debian's packages before they start a service; 101 forbids it


class DebianRedis(EmbeddedValkey):
    name = "Redis"

    def _binary(self) -> Path:
        return REDIS_SERVER


class DebianPostgres(EmbeddedPostgres):
    def _programs(self) -> Path:
        return POSTGRES_PROGRAMS


def main(command: list[str]) -> int:
    if not command:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    install([package for package, program in PACKAGES.items() if not program.exists()])
    with TemporaryDirectory(prefix="debian-servers-") as name, ExitStack() as stack:
        redis = stack.enter_context(running(DebianRedis(Path(name) / "redis", free_port())))
        postgres = stack.enter_context(running(DebianPostgres(Path(name) / "postgres", free_port())))
        urls = {"PROSA_TEST_REDIS_URL": redis.url, "PROSA_TEST_DATABASE_URL": postgres.url}
        return run(command, urls)


def install(packages: list[str]) -> None:
    if not packages:
        return
    if os.geteuid() != 0:
        sys.exit(f"not installed, and only root can do so: {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_services_started():
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", "-qq", *arguments], env=quiet, stdout=sys.stderr, check=True)  # noqa: S603, S607


@contextmanager
def no_services_started() -> Iterator[None]:
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


@contextmanager
def running(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    server.start()
    try:
        yield server
    except BaseException:
        shutil.copyfileobj(server.log.open(), sys.stderr)
        raise
    finally:
        server.stop()


def run(command: list[str], urls: dict[str, str]) -> int:
    """The command is told to end when we are; Ctrl-C reaches it by itself."""
    with subprocess.Popen(command, env={**os.environ, **urls}) as process:  # noqa: S603 - the caller's own command
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
