"""A checker that finds nothing proves something only if it finds what is there: its own tests, before each campaign."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).with_name("test_checker.py")
"""They put every kind of violation into a clean history, and see it found."""


def self_test(tests: Path = TESTS) -> tuple[bool, str]:
    """Whether the checker finds them all, and what the tests printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, cwd=TESTS.parents[2], capture_output=True, text=True, check=False)  # noqa: S603 - our own
    return done.returncode == 0, (done.stdout + done.stderr).strip()
