"""Settings: read once, refused where they would do harm, and told by name but never by value."""

import os
import subprocess
from pathlib import Path
from shutil import which
from types import ModuleType

import pytest
from dotenv import dotenv_values

from scripts import configuration, env_example
from settings import Settings, load_settings
from settings.accepted import written
from settings.sections import SECTIONS
from streams.errors import ConfigurationError

SAFE = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 32,
    "TWILIO_AUTH_TOKEN": "t" * 32,
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "PUBLIC_BASE_URL": "https://prosa.example.com",
}


@pytest.fixture(autouse=True)
def only_these_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (line.split("=")[0] for line in env_example.lines() if "=" in line and not line.startswith("#")):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("file", "source"), [(".env.example", env_example), ("docs/configuration.md", configuration)])
def test_what_is_generated_from_the_settings_is_what_they_say(file: str, source: ModuleType) -> None:
    written = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
    assert written == "\n".join(source.lines()), "run: make docs"


def test_every_setting_is_in_one_section() -> None:
    names = [name for section in SECTIONS.values() for name in section.model_fields]
    assert sorted(names) == sorted(Settings.model_fields)


def test_the_example_file_changes_no_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defaults = load_settings()
    (tmp_path / ".env").write_text("\n".join(env_example.lines()), encoding="utf-8")
    assert load_settings() == defaults


def test_a_shell_reads_the_example_file_as_it_is_meant(tmp_path: Path) -> None:
    """As docs tell whoever runs without Docker: its values are put into the environment."""
    file = tmp_path / "example"
    file.write_text("\n".join(env_example.lines()), encoding="utf-8")
    bash, command = which("bash"), 'set -eu; set -a; . "$1"; set +a; env -0'
    assert bash is not None
    read = subprocess.run(  # noqa: S603 - our own file
        [bash, "-c", command, "bash", str(file)], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    assert read.stderr == b""
    told = dict(line.split("=", 1) for line in read.stdout.decode().split("\0") if line)
    meant = {name.upper(): written(field.default) for name, field in Settings.model_fields.items()}
    assert {name: told[name] for name in meant} == meant
    assert dotenv_values(file, interpolate=False) == meant


@pytest.mark.parametrize("value", ["it's", "a \\ b c"])
def test_a_default_that_no_quotes_would_keep_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="no form"):
        env_example.quoted(value)


def test_production_starts_with_safe_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, SAFE)
    assert load_settings().environment == "production"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short-one"),
        ("TWILIO_AUTH_TOKEN", ""),
        ("TWILIO_AUTH_TOKEN", f"{'t' * 32},short-one"),
        ("TWILIO_ACCOUNT_SID", ""),
        ("PUBLIC_BASE_URL", "http://prosa.example.com"),
    ],
)
def test_production_refuses_what_is_missing_default_or_short(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    _set(monkeypatch, {**SAFE, name: value})
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert name in str(refused.value)
    assert "short-one" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://user:geheim@host"),
        ("DATABASE_URL", "mysql://user:geheim@host"),
        ("METRICS_PORT", "geheim"),
        ("LOG_LEVEL", "geheim"),
        ("TWILIO_SENDER", "geheim"),
        ("PUBLIC_BASE_URL", "geheim"),
        ("TWILIO_AUTH_TOKEN", " , "),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    _set(monkeypatch, {name: value})
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert str(refused.value).startswith(name)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "whatsapp:",
        "whatsapp:+",
        "whatsapp:14155238886",
        "whatsapp:+1 415 523 8886",
        "whatsapp:+1-415-523-8886",
        "whatsapp:+0155238886",
        "whatsapp:+1234567890123456",
        "whatsapp:+1415523\u0668886",
        "whatsapp:BR.1A2B3C",
        "+14155238886",
    ],
)
def test_our_own_address_is_a_number_as_twilio_writes_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any other Twilio sends nothing."""
    _set(monkeypatch, {"TWILIO_SENDER": address})
    with pytest.raises(ConfigurationError, match="TWILIO_SENDER is not an address such as"):
        load_settings()


@pytest.mark.parametrize("address", ["whatsapp:+14155238886", "whatsapp:+5511912345678", "whatsapp:+123456789012345"])
def test_every_number_may_be_ours(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, {"TWILIO_SENDER": address})
    assert load_settings().twilio_sender == address


def test_no_secret_stands_in_what_settings_print_of_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, {**SAFE, "DATABASE_URL": "postgresql://u:geheim@h/d", "OPENAI_API_KEY": "geheim"})
    assert "geheim" not in repr(load_settings())
    assert "tttt" not in repr(load_settings())


def test_the_word_none_empties_what_would_else_be_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, {"CONVERSATION_CLOSE_WORDS": "none", "AI_FAILURE_SENTENCE": "none"})
    settings = load_settings()
    assert settings.conversation_close_words == ()
    assert settings.ai_failure_sentence == ""


def _set(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
