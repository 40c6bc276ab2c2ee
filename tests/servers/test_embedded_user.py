"""Root's servers run as an ordinary user, who keeps no more of root's power than it takes to reach its files."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator import embedded_launch

from .programs import rest_of_output, run_python

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root changes its user")

NOBODY = (65534, 65534)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside of pytest's own folders, which only root can enter."""
    with TemporaryDirectory() as name:
        yield Path(name)


def test_a_program_below_a_closed_folder_is_found_and_run(folder: Path) -> None:
    folder.chmod(0o700)
    program = _copy_of("test", folder)
    assert _launched(folder, program, "-x", str(program)) == 0


def test_where_the_files_can_be_reached_no_capability_is_kept(folder: Path) -> None:
    folder.chmod(0o755)
    assert _capabilities(folder) == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0}


def test_where_they_cannot_it_is_the_one_to_read_and_enter(folder: Path) -> None:
    folder.chmod(0o700)
    only = 1 << embedded_launch.CAP_DAC_READ_SEARCH
    assert _capabilities(folder) == {"CapInh": only, "CapPrm": only, "CapEff": only, "CapAmb": only}


def _copy_of(name: str, folder: Path) -> Path:
    found = shutil.which(name)
    assert found is not None
    return Path(shutil.copy(found, folder / name))


def _arguments(folder: Path, program: Path, *arguments: str) -> list[str]:
    launch = embedded_launch.Launch(parent=os.getpid(), death_signal=9, user=NOBODY, reach=[str(program), str(folder)])
    return [embedded_launch.__file__, json.dumps(launch), str(program), *arguments]


def _launched(folder: Path, program: Path, *arguments: str) -> int:
    with run_python(*_arguments(folder, program, *arguments)) as process:
        return process.wait()


def _capabilities(folder: Path) -> dict[str, int]:
    with run_python(*_arguments(folder, _copy_of("cat", folder), "/proc/self/status")) as process:
        lines = [line.split(":") for line in rest_of_output(process).decode().splitlines()]
    return {line[0]: int(line[1], 16) for line in lines if line[0] in {"CapInh", "CapPrm", "CapEff", "CapAmb"}}
