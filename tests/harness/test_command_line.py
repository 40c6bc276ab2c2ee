"""`python -m tests.harness` says what there is, and refuses what there is not, before it starts anything."""

from pathlib import Path

import pytest

from streams import crash_points
from tests.harness import __main__ as command_line
from tests.harness.__main__ import main
from tests.harness.campaign import KINDS
from tests.harness.self_test import self_test
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


def test_nothing_is_broken_where_the_checker_is_not_sound(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "self_test", lambda: (False, "1 failed"))
    assert main(["--minutes", "0"]) == 1
    assert "prove nothing" in capsys.readouterr().out


def test_the_checker_is_sound_by_its_own_tests_and_one_whose_tests_are_red_is_not(tmp_path: Path) -> None:
    is_sound, told = self_test()
    assert (is_sound, "passed" in told) == (True, True)
    red = tmp_path / "test_red.py"
    red.write_text("def test_red() -> None:\n    assert False\n")
    is_sound, told = self_test(red)
    assert (is_sound, "1 failed" in told) == (False, True)
