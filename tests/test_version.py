"""`prosa --version`."""

from importlib.metadata import version

from typer.testing import CliRunner

from cli import app


def test_the_version_is_told_with_those_of_what_it_stands_on() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert shown.output.startswith(f"Prosa {version('prosa')} (Python 3.")
    assert f"FastStream {version('faststream')}" in shown.output
