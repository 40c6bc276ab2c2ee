"""pydantic-ai's models for the providers that the settings can name; loads pydantic-ai."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from handlers.pydantic_ai_http import bounded_client
from streams.errors import ConfigurationError

OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"

_NO_KEY = "not-needed"
"""OpenAI's client demands some key, also for a server that wants none."""


def openai_model(name: str, base_url: str | None, key: SecretStr | None) -> Model:
    """
    Chat Completions at OpenAI, or at any server that speaks it, with or without a key.

    A server that is not OpenAI's is told its limit of tokens by the older name, `max_tokens`, which all of them know.
    """
    url = base_url or OPENAI_URL
    if urlsplit(url).hostname == OPENAI_HOST:
        if key is None:
            raise ConfigurationError(
                f"`openai:{name}` needs a key; set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that wants none"
            )
        provider = OpenAIProvider(base_url=url, api_key=key.get_secret_value(), http_client=bounded_client())
        return OpenAIChatModel(name, provider=provider)
    api_key = key.get_secret_value() if key else _NO_KEY
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    compatible = OpenAICompatibleProvider(
        "compatible", base_url=url, api_key=api_key, profile=profile, http_client=bounded_client()
    )
    return OpenAIChatModel(name, provider=compatible)


def ollama_model(name: str, base_url: str) -> Model:
    """A model that an Ollama server runs."""
    return OllamaModel(name, provider=OllamaProvider(base_url=base_url, api_key=_NO_KEY, http_client=bounded_client()))


async def close_client(model: Model) -> None:
    """Close the connections of a model of ours. pydantic-ai closes only the clients that it made itself."""
    if isinstance(model, OpenAIChatModel):
        await model.client.close()


def anthropic_model(name: str, key: SecretStr | None) -> Model:
    """A model of Anthropic's, whose library is not among our own dependencies."""
    if find_spec("anthropic") is None:
        raise ConfigurationError(f"`anthropic:{name}` needs the package anthropic; pip install 'prosa[anthropic]'")
    if key is None:
        raise ConfigurationError(f"`anthropic:{name}` needs a key; set ANTHROPIC_API_KEY")
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(name, provider=AnthropicProvider(api_key=key.get_secret_value()))
