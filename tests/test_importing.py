"""Importing any module of ours needs no environment and does nothing to the world."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("development", "handlers", "projections", "settings", "simulator", "streams", "webhook")
MODULES = ("cli", "metrics", "prosa", "telemetry", "tracing")
RUN_BY_ALEMBIC = "projections.migrations"
"""Its files are executed by Alembic during a migration, and imported by nobody."""

WRONG = {"ENVIRONMENT": "production", "REDIS_URL": "nonsense", "LEASE_SECONDS": "never"}

WATCH = """
import importlib, json, os, socket, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
deeds = []

def watch(event, details):
    if event == "open":
        path, mode, flags = details
        writes = bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if writes or str(path).endswith(".env"):
            deeds.append(f"{event} {path}")
    elif event.split(".")[0] in ("socket", "subprocess") or event in FORBIDDEN:
        deeds.append(f"{event} {details}")

FORBIDDEN = {"os.system", "os.fork", "os.exec", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "os.chmod"}
sys.addaudithook(watch)
for name in json.loads(sys.argv[2]):
    importlib.import_module(name)
print(json.dumps(deeds))
"""


def all_modules() -> list[str]:
    found = [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.", onerror=lambda _: None)
    ]
    return [*MODULES, *PACKAGES, *(name for name in found if not name.startswith(RUN_BY_ALEMBIC))]


def run_alone(program: str, *arguments: str, directory: Path, **environment: str) -> str:
    """In a fresh interpreter that knows nothing of our environment."""
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("environment", [{}, WRONG], ids=["without an environment", "in a wrong one"])
def test_importing_everything_does_no_io_and_reads_no_settings(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEASE_SECONDS=never\n")
    names = sorted(all_modules(), reverse=bool(environment))  # in two orders: no module relies on another that came before
    assert len(names) > 100
    assert json.loads(run_alone(WATCH, str(ROOT), json.dumps(names), directory=tmp_path, **environment)) == []
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize(("package", "name"), [("handlers", "app"), ("handlers", "clock"), ("webhook", "app")])
def test_an_application_is_built_when_it_is_first_asked_for_and_once(package: str, name: str, tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, sys.argv[1])
connections = []
sys.addaudithook(lambda event, details: connections.append(event) if event == "socket.connect" else None)
import {package}
assert "{name}" not in vars({package})
first = {package}.{name}
assert {package}.{name} is first is vars({package})["{name}"]
assert not hasattr({package}, "nothing")
assert not connections
"""
    assert run_alone(program, str(ROOT), directory=tmp_path) == ""


def test_no_submodule_can_take_the_place_of_an_application() -> None:
    assert not [name for name in all_modules() if name.rpartition(".")[2] in {"app", "clock"}]
