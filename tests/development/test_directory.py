"""The directory of a run belongs to whoever runs it."""

import os
import stat
from pathlib import Path

import pytest

from development.directory import RunDirectory


@pytest.mark.parametrize("was_there", [False, True])
def test_no_other_user_of_the_machine_looks_into_a_run(tmp_path: Path, was_there: bool) -> None:
    """As root it may be passed through, by the servers that do not run as root."""
    path = tmp_path / ".prosa"
    if was_there:
        path.mkdir()
        path.chmod(0o755)
    with RunDirectory(path).claimed():
        assert stat.S_IMODE(path.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)
