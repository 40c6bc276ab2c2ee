"""
Install what the lock file names, and then this project: one line that counts on a terminal, one line per step elsewhere.

What pip has to say is shown only where it fails.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOCK = Path("requirements.lock")
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
SEEN = ("Collecting ", "Ignoring ", "Requirement already satisfied: ")
TOLD_LINES = 40


def main() -> int:
    packages = sum(1 for line in LOCK.read_text(encoding="utf-8").splitlines() if line[:1].isalnum())
    show(f"Installing {packages} packages; the first time this takes a minute …")
    told, seen = list[str](), 0
    try:
        for line in run([*PIP, "--require-hashes", "-r", str(LOCK)]):
            told.append(line)
            seen += line.startswith(SEEN)
            is_fetching = not line.startswith("Installing collected packages")
            show_again(f"Fetching {min(seen, packages)} of {packages} packages …" if is_fetching else "Installing them …")
        told.extend(run([*PIP, "--no-deps", "--no-build-isolation", "-e", "."]))
    except subprocess.CalledProcessError as error:
        show_again("pip could not install everything:", is_last=True)
        sys.stderr.write("".join(told[-TOLD_LINES:]))
        return error.returncode
    show_again("Installed.", is_last=True)
    return 0


def run(command: list[str]) -> Iterator[str]:
    """The command's lines as they come. Raises `CalledProcessError`."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603 - pip
        yield from process.stdout or ()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def show_again(line: str, *, is_last: bool = False) -> None:
    """In the place of the line before, on a terminal; elsewhere only the last one is worth a line."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K{line}" + "\n" * is_last)
    elif is_last:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
