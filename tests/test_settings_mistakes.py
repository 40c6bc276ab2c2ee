"""Mistakes in the settings: each told in one line by its name, with what would do, never with its value, and all at once."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from settings import Settings, load_database_url, load_settings, misspelt_settings, read_settings, warn_of_misspelt_settings
from settings.sections import SECTIONS
from streams.errors import ConfigurationError

CANARY = "geheim"


@pytest.fixture(autouse=True)
def only_these_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """The lines that a start with these variables is refused with."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    return str(refused.value).splitlines()


NUMBERS = [
    name.upper() for section in SECTIONS.values() for name, field in section.model_fields.items() if field.annotation is float
]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", "-1", "soon"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_duration_that_no_calendar_holds_is_refused_with_what_would_do(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [line] = refusal(monkeypatch, **{name: value})
    assert line.startswith(f"{name} is not a number ")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REDIS_URL", "redis://127.0.0.1:63790000/0", "port"),
        ("REDIS_URL", "redis://127.0.0.1:port/0", "port"),
        ("REDIS_URL", f"redis://:a/{CANARY}@127.0.0.1:6379/0", "%2F"),
        ("REDIS_URL", "redis://127.0.0.1:6379/first", "number"),
        ("DATABASE_URL", f"postgresql://user:a#{CANARY}@host/prosa", "%23"),
        ("DATABASE_URL", "postgresql://host:0/prosa", "port"),
        ("OPENAI_BASE_URL", "127.0.0.1:8001/v1", "http"),
        ("OLLAMA_BASE_URL", "localhost:11434", "http"),
        ("PUBLIC_BASE_URL", "https://prosa.example.com?a=1", "query"),
        ("STREAM_ENGINE", "rabbit", "`redis`"),
        ("TYPING_INDICATOR", "perhaps", "`true` or `false`"),
        ("STREAM_PARTITIONS", "8.5", "a whole number from 1 to 1024"),
        ("ENVIRONMENT", "prod", "`development` or `production`"),
        ("LOG_LEVEL", "loud", "DEBUG"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_what_would_do(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [line] = refusal(monkeypatch, **{name: value})
    assert line.startswith(f"{name} ")
    assert told in line
    assert CANARY not in line


def test_every_problem_is_told_at_once_also_what_production_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refusal(monkeypatch, ENVIRONMENT="production", LEASE_SECONDS="nan", METRICS_PORT="http")
    named = {line.partition(" ")[0] for line in lines}
    assert named == {"LEASE_SECONDS", "METRICS_PORT", "SECRET_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "PUBLIC_BASE_URL"}


def test_what_is_wrong_is_read_as_its_default_and_the_rest_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "never")
    monkeypatch.setenv("MAX_IN_FLIGHT", "7")
    settings, [problem] = read_settings()
    assert (settings.lease_seconds, settings.max_in_flight, problem.name) == (10, 7, "LEASE_SECONDS")


def test_the_bounds_themselves_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLY_QUIET_SECONDS", "600")
    monkeypatch.setenv("CONVERSATION_IDLE_TIMEOUT_MINUTES", "527040")
    assert load_settings().reply_quiet_seconds == 600


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.write_bytes(b"AI_INSTRUCTIONS=Ol\xe1\n"),
        lambda file: file.mkdir(),
    ],
    ids=["not UTF-8", "a directory"],
)
def test_an_env_file_that_cannot_be_read_is_told_in_one_line(write: object, tmp_path: Path) -> None:
    assert callable(write)
    write(tmp_path / ".env")
    with pytest.raises(ConfigurationError, match=r"^\.env is [^\n]+; [^\n]+$"):
        load_settings()
    with pytest.raises(ConfigurationError):
        load_database_url()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_env_file_that_is_closed_to_us_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(mode=0o000)
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read"):
        load_settings()


def test_a_misspelt_name_is_warned_of_and_those_of_other_programs_are_not(tmp_path: Path) -> None:
    lines = ["REDIS_URI=redis://x", "reply_quiet_second=1", "POSTGRES_PASSWORD=x", "HOME_ASSISTANT=1", "METRICS_PORT=9200"]
    (tmp_path / ".env").write_text("\n".join(lines), encoding="utf-8")
    assert load_settings().metrics_port == 9200
    assert {each.name: each.meant for each in misspelt_settings()} == {
        "REDIS_URI": "REDIS_URL",
        "reply_quiet_second": "REPLY_QUIET_SECONDS",
    }
    with capture_logs() as logged:
        warn_of_misspelt_settings()
    assert [line["did_you_mean"] for line in logged] == ["REDIS_URL", "REPLY_QUIET_SECONDS"]
    assert all("redis://" not in str(line) for line in logged)


def test_migrating_in_production_needs_the_database_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("LEASE_SECONDS", "never")
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/prosa")
    assert load_database_url() == "postgresql://h/prosa"
    monkeypatch.setenv("DATABASE_URL", CANARY)
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL") as refused:
        load_database_url()
    assert CANARY not in str(refused.value)
