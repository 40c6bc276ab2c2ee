"""A second Python process, for what a test cannot do to its own."""

import subprocess
import sys

DEADLINE_SECONDS = 20.0


def run_python(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)  # noqa: S603 - our own programs


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def rest_of_output(process: subprocess.Popen[bytes]) -> bytes:
    """Returns when every process that holds the other end has ended."""
    return process.communicate(timeout=DEADLINE_SECONDS)[0]
