"""What went wrong unexpectedly is told with its place in the code, never with what the variables held."""

import subprocess
import sys
from pathlib import Path

import pytest

FAILURE = """
import logging
from settings import Environment, Settings
from telemetry import configure_logging, log

configure_logging(Settings(_env_file=None).model_copy(update={"environment": Environment(ENVIRONMENT)}), process="test")

def handle(body):
    raise LookupError("code 17")

try:
    handle("ca" + "nary")
except LookupError:
    log.exception("failed")
    logging.getLogger("uvicorn.error").exception("failed")
"""


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_traceback_shows_no_variables(tmp_path: Path, environment: str) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FAILURE.replace("(ENVIRONMENT)", f"({environment!r})")],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stderr.count("LookupError") >= 2
    assert "code 17" in done.stderr
    assert "canary" not in done.stderr
