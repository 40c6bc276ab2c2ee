"""From the names in the settings to the models behind the port."""

from handlers.measured import MeasuredModel
from handlers.model import ReplyGenerator
from handlers.offline import MODEL as OFFLINE
from handlers.offline import OfflineResponder
from handlers.turn import TurnLimits
from settings import Settings
from streams.errors import ConfigurationError
from streams.retry import RetryPolicy


def reply_generators(settings: Settings) -> tuple[MeasuredModel, ...]:
    """The model and its fallbacks, in order. Raises `ConfigurationError` for a name, a key or a library that is missing."""
    named = [("AI_MODEL", settings.ai_model), *(("AI_FALLBACK_MODELS", name) for name in settings.ai_fallback_models)]
    return tuple(MeasuredModel(name, _reply_generator(name, setting, settings)) for setting, name in named)


def turn_limits(settings: Settings) -> TurnLimits:
    """How long they are tried, and with which pauses."""
    return TurnLimits(
        policy=RetryPolicy(base_seconds=settings.retry_base_seconds, max_seconds=settings.retry_max_seconds),
        request_timeout_seconds=settings.ai_request_timeout_seconds,
        turn_timeout_seconds=settings.ai_turn_timeout_seconds,
    )


def _reply_generator(name: str, setting: str, settings: Settings) -> ReplyGenerator:
    if name == OFFLINE:
        return OfflineResponder()
    provider, _, model_name = name.partition(":")
    if not model_name or provider not in ("openai", "anthropic", "ollama"):
        raise ConfigurationError(f"{setting} names {name!r}; use offline, openai:NAME, anthropic:NAME or ollama:NAME")
    from handlers import pydantic_ai_model, pydantic_ai_providers

    match provider:
        case "openai":
            model = pydantic_ai_providers.openai_model(model_name, settings.openai_base_url, settings.openai_api_key)
        case "ollama":
            model = pydantic_ai_providers.ollama_model(model_name, settings.ollama_base_url)
        case _:
            model = pydantic_ai_providers.anthropic_model(model_name, settings.anthropic_api_key)
    return pydantic_ai_model.PydanticAiModel(
        model,
        name=name,
        instructions=settings.ai_instructions,
        request_timeout_seconds=settings.ai_request_timeout_seconds,
    )
