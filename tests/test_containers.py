"""The image and the compose file: nothing forgotten, nothing open, no setting that does not exist."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from handlers.processes import build_app, build_clock
from settings import Settings
from settings.sections import Environment
from streams.engines.choose import event_log
from webhook.door import create_door

ROOT = Path(__file__).parent.parent
OURS = ("webhook", "handlers", "clock")
PROFILES = {"simulator": ["simulator"], "prometheus": ["monitoring"], "grafana": ["monitoring"]}
NOT_OFFERED = {"KAFKA_BOOTSTRAP_SERVERS", "REDIS_PERSISTENCE_VOUCHED"}
"""Compose brings a log of its own, and its settings are known."""
LOOPBACK = re.compile(r"\$\{[A-Z]+_ADDRESS:-127\.0\.0\.1:\d+\}:\d+")
PINNED = re.compile(r"[^:@]+(:v?\d+(\.\d+)*(-[a-z]+)?|@sha256:[0-9a-f]{64})")
SECRET = "0123456789abcdef"
ENTRY = re.compile(r"^([a-z0-9._-]+==\S+)", re.MULTILINE)


class Reading(Settings):
    """Remembers which settings were read, by the names of their variables."""

    names: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        if name in Settings.model_fields:
            Reading.names.add(name.upper())
        return super().__getattribute__(name)


def build_webhook(settings: Settings) -> object:
    return create_door(settings, event_log(settings))


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return read


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def variables(name: str) -> set[str]:
    """The names in one of the environment files."""
    lines = (ROOT / "docker" / name).read_text(encoding="utf-8").splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}


def test_compose_has_what_the_system_consists_of() -> None:
    found = services()

    assert set(found) == {"valkey", "postgres", "migrate", *OURS, *PROFILES}
    assert {name: found[name]["profiles"] for name in found if "profiles" in found[name]} == PROFILES


@pytest.mark.parametrize("name", services())
def test_each_container_can_do_no_more_than_it_must(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service.get("user", "999:999") == "999:999"
    assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & set(service)
    assert "docker.sock" not in str(service)


@pytest.mark.parametrize("name", services())
def test_only_the_loopback_address_is_published_and_no_store(name: str) -> None:
    service = services()[name]

    for port in service.get("ports", []):
        assert LOOPBACK.fullmatch(port), port
    if name in {"valkey", "postgres", "migrate", "handlers", "clock"}:
        assert "ports" not in service
    for network in {"log", "read-model"}:
        assert compose()["networks"][network] == {"internal": True}
    if name in {"valkey", "postgres"}:
        assert len(service["networks"]) == 1
        assert "outside" not in service["networks"]


@pytest.mark.parametrize("name", [name for name in services() if name != "migrate"])
def test_each_process_tells_whether_it_is_ready(name: str) -> None:
    check = services()[name]["healthcheck"]["test"]

    assert check[0] in {"CMD", "CMD-SHELL"}
    if name in OURS:
        assert "/health/ready" in check[-1]


def test_what_needs_the_tables_waits_for_the_migrations() -> None:
    found = services()

    for name in ("handlers", "clock"):
        assert found[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for name in OURS:
        assert found[name]["depends_on"]["valkey"] == {"condition": "service_healthy"}
    assert found["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_every_setting_can_be_given_and_nothing_else_is() -> None:
    known = {name.upper() for name in Settings.model_fields}
    given = set().union(*(services()[name]["environment"] for name in OURS))

    assert {name for name in given - known if not name.startswith("OTEL_")} == set()
    assert known - given == NOT_OFFERED


@pytest.mark.parametrize(("name", "build"), [("handlers", build_app), ("clock", build_clock), ("webhook", build_webhook)])
def test_each_process_is_given_every_setting_that_it_reads(name: str, build: Callable[[Settings], object]) -> None:
    settings = Reading()
    settings.names.clear()
    build(settings)

    assert {"TWILIO_ACCOUNT_SID", "STREAM_PARTITIONS"} <= settings.names
    assert settings.names - NOT_OFFERED <= set(services()[name]["environment"])


def test_only_the_migrations_know_the_owners_password() -> None:
    who = {name for name, service in services().items() if "${POSTGRES_PASSWORD" in str(service)}

    assert who == {"postgres", "migrate"}


@pytest.fixture
def valkey_started(tmp_path: Path) -> tuple[str, dict[str, str]]:
    """The command line of the server that its container's command starts, and the settings that it reads."""
    server = tmp_path / "valkey-server"
    server.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\nexec cat\n', encoding="utf-8")
    server.chmod(0o755)
    command = [interpolated(word) for word in services()["valkey"]["command"]]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": SECRET}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    line, *settings = done.stdout.splitlines()
    return line, dict(each.split(maxsplit=1) for each in settings)


def interpolated(word: str) -> str:
    """As compose does it where only the password is given."""
    given = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", word)
    return re.sub(r"\$\{VALKEY_PASSWORD:\?[^}]*\}", SECRET, given).replace("$$", "$")


def test_valkey_keeps_what_it_acknowledged(valkey_started: tuple[str, dict[str, str]]) -> None:
    _, settings = valkey_started

    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "always"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["save"] == '""'


def test_valkey_refuses_what_is_new_before_the_kernel_kills_it(valkey_started: tuple[str, dict[str, str]]) -> None:
    _, settings = valkey_started

    assert settings["maxmemory"] == "1gb"
    assert "VALKEY_MAXMEMORY" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_nobody_reads_valkeys_password_in_the_list_of_processes(valkey_started: tuple[str, dict[str, str]]) -> None:
    line, settings = valkey_started

    assert SECRET not in line
    assert settings["requirepass"] == SECRET
    assert "VALKEY_PASSWORD" not in str(services()["valkey"]["command"])
    assert "VALKEY_PASSWORD" not in str(services()["valkey"]["healthcheck"])


def test_production_is_the_default_and_has_no_secret_of_its_own() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    optional = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))

    assert optional.pop("ENVIRONMENT") == Environment.PRODUCTION
    assert optional.pop("VALKEY_MAXMEMORY")
    assert all(name.endswith("_ADDRESS") for name in optional)
    assert required <= variables("production.env")
    assert required <= variables("trial.env")
    empty = (ROOT / "docker" / "production.env").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name}=$", empty, re.MULTILINE) for name in required)


def test_our_image_is_built_once_and_never_looked_for_elsewhere() -> None:
    ours = {name: service for name, service in services().items() if service["image"] == "prosa"}

    assert set(ours) == {"migrate", *OURS}
    assert [name for name, service in ours.items() if "build" in service] == ["migrate"]
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


def test_images_are_pinned() -> None:
    for name, service in services().items():
        if service["image"] != "prosa" and "build" not in service:
            assert PINNED.fullmatch(service["image"]), name


def test_the_image_is_built_from_what_the_wheel_consists_of_and_nothing_else() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert lines[1] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert let_in == {*wheel["only-include"], "docker/*.lock", "pyproject.toml", "README.md", "LICENSE"}


def test_the_image_runs_as_nobody_in_particular_from_locked_wheels() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = text.split("\nFROM ")

    for stage in stages:
        if " AS runtime" in stage or " AS simulator" in stage:
            assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE)
    for line in text.splitlines():
        if "pip" in line and " install " in line:
            assert "--require-hashes" in line or "--no-deps --no-index" in line


@pytest.mark.parametrize("name", ["runtime", "simulator", "build"])
def test_the_images_locks_hold_what_the_project_is_tested_with(name: str) -> None:
    everything = entries(ROOT / "requirements.lock")

    for entry, hashes in entries(ROOT / "docker" / f"{name}.lock").items():
        assert everything[entry] == hashes, f"{entry}: run make lock"


def test_no_requirement_is_missing_in_the_images_locks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        "runtime": [*project["dependencies"], *project["optional-dependencies"]["otel"]],
        "simulator": project["optional-dependencies"]["simulator"],
        "build": ["hatchling"],
    }

    for name, requirements in wanted.items():
        locked = {entry.partition("==")[0] for entry in entries(ROOT / "docker" / f"{name}.lock")}
        assert {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in requirements} <= locked, name


def entries(lock: Path) -> Mapping[str, frozenset[str]]:
    """Each pinned version with its hashes."""
    return dict(_entries(lock.read_text(encoding="utf-8")))


def _entries(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    starts = [*ENTRY.finditer(text)]
    ends = [*(start.start() for start in starts[1:]), len(text)]
    for start, end in zip(starts, ends, strict=True):
        yield start[1], frozenset(re.findall(r"sha256:[0-9a-f]{64}", text[start.start() : end]))


def has_compose() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0  # noqa: S603 - whatever docker this machine has


@pytest.mark.skipif(not has_compose(), reason="needs docker compose")
def test_compose_itself_accepts_the_file_for_a_trial_and_names_what_production_lacks() -> None:
    bare = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}

    def config(env_file: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "--env-file", f"docker/{env_file}", "config", "--quiet"]
        return subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)  # noqa: S603 - our own words

    trial, production = config("trial.env"), config("production.env")

    assert trial.returncode == 0, trial.stderr
    assert production.returncode != 0
    assert "is missing a value" in production.stderr
