"""`python -m tests.harness` says what there is, and refuses what there is not, before it starts anything."""

import pytest

from streams import crash_points
from tests.harness.__main__ import main
from tests.harness.campaign import KINDS
from tests.harness.sweep import COVERED_ELSEWHERE


def test_the_list_names_every_class_and_every_crash_point(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    told = capsys.readouterr().out
    assert {word.strip(",") for word in told.split()} >= {*(fault.name for fault in KINDS), *crash_points.POINTS}
    assert all(f"{point} is covered elsewhere, by {test}" in told for point, test in COVERED_ELSEWHERE.items())


@pytest.mark.parametrize("mistake", [["--faults", "log-melted"], ["--only", "sometime"], ["--only", "log-melted seed 1"]])
def test_what_is_not_there_is_refused_by_its_name(mistake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(mistake) == 2
    assert mistake[1].split()[0] in capsys.readouterr().err


def test_help_shows_examples_and_what_the_exit_code_means(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    told = capsys.readouterr().out
    assert "examples:" in told
    assert "Exit code 0" in told
