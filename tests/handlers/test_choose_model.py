import importlib.util
import subprocess
import sys
from typing import Any

import pytest
from pydantic import SecretStr

from handlers.choose_model import reply_generators, turn_limits
from handlers.model_remedies import remedy_of
from handlers.offline import OfflineResponder
from settings import Settings
from streams.errors import ConfigurationError


def _settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def test_the_model_comes_first_and_its_fallbacks_in_order() -> None:
    settings = _settings(
        ai_model="ollama:llama3.2", ai_fallback_models=("openai:m", "offline"), openai_base_url="http://127.0.0.1:9/v1"
    )
    models = reply_generators(settings)
    assert [model.name for model in models] == ["ollama:llama3.2", "openai:m", "offline"]
    assert isinstance(models[2].model, OfflineResponder)


@pytest.mark.parametrize("name", ["gpt-5", "openai:", "google:gemini", "", "offline:x"])
def test_an_unknown_model_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match="AI_MODEL"):
        reply_generators(_settings(ai_model=name))


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for base_url in (None, "https://api.openai.com/v1/"):
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            reply_generators(_settings(ai_model="openai:gpt-5", openai_base_url=base_url))
    assert reply_generators(_settings(ai_model="openai:gpt-5", openai_api_key=SecretStr("sk-1")))


def test_a_missing_library_is_named() -> None:
    if importlib.util.find_spec("anthropic") is not None:
        pytest.skip("it is installed here")
    with pytest.raises(ConfigurationError, match=r"pip install 'prosa\[anthropic\]'"):
        reply_generators(_settings(ai_model="anthropic:claude"))


def test_the_limits_are_the_settings() -> None:
    limits = turn_limits(_settings(retry_base_seconds=1, retry_max_seconds=9, ai_turn_timeout_seconds=7))
    assert (limits.policy.base_seconds, limits.policy.max_seconds, limits.turn_timeout_seconds) == (1, 9, 7)


def test_pydantic_ai_loads_only_where_a_model_needs_it() -> None:
    program = (
        "import sys, handlers.choose_model, handlers.turn, handlers.twilio_client; from settings import Settings;"
        "handlers.choose_model.reply_generators(Settings(_env_file=None, ai_model='offline'));"
        "sys.exit('pydantic_ai' in sys.modules or 'openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own program


@pytest.mark.parametrize("setting", ["AI_MODEL", "AI_FALLBACK_MODELS"])
def test_the_setting_that_names_an_unknown_model_is_told(setting: str) -> None:
    changes = {"ai_model": "gpt-5"} if setting == "AI_MODEL" else {"ai_fallback_models": ("gpt-5",)}
    with pytest.raises(ConfigurationError, match=f"^{setting} names 'gpt-5'; use .*openai:NAME"):
        reply_generators(_settings(**changes))


@pytest.mark.parametrize(
    ("model", "code", "setting"),
    [
        ("openai:m", "http_401", "OPENAI_API_KEY"),
        ("anthropic:m", "http_403", "ANTHROPIC_API_KEY"),
        ("ollama:m", "connection", "OLLAMA_BASE_URL"),
        ("openai:m", "http_404", "AI_MODEL"),
        ("openai:m", "quota", "AI_FALLBACK_MODELS"),
        ("openai:m", "http_418", "AI_FALLBACK_MODELS"),
    ],
)
def test_a_refusal_has_its_remedy_in_a_setting(model: str, code: str, setting: str) -> None:
    assert setting in remedy_of(model, code)
