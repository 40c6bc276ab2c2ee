"""
Every setting, from the environment, read once at the entry point and passed down.

An empty value counts as not given. `.env` in the working directory is read too; the environment wins.
"""

from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from streams.errors import ConfigurationError
from streams.events import AfterHandoff

DEVELOPMENT_SECRET = "development-only-secret"  # noqa: S105 - refused in production
DEVELOPMENT_TOKEN = "development-only-token"  # noqa: S105 - refused in production
DEVELOPMENT_ACCOUNT = "AC00000000000000000000000000000000"
SHORTEST_SECRET = 32

CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class StreamEngine(StrEnum):
    REDIS = "redis"
    KAFKA = "kafka"


class Settings(BaseSettings):
    """Prosa's settings; each field is the environment variable of that name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, case_sensitive=False
    )

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="`production` refuses default or short secrets and an unsafe Redis."
    )
    secret_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="Signs the thread tokens in callback addresses; 32 characters or more."
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    public_base_url: str = Field(
        "http://127.0.0.1:8000", description="How Twilio reaches the webhook; signatures are checked against it."
    )
    metrics_host: str = Field("127.0.0.1", description="Where handlers and clock serve health and metrics.")
    metrics_port: int = Field(
        9100, ge=0, le=65000, description="Health and metrics of handlers and clock; the worker's number is added. 0: none."
    )

    stream_engine: StreamEngine = Field(StreamEngine.REDIS, description="`redis`.")
    stream_partitions: int = Field(8, ge=1, le=1024, description="Partitions of the log, fixed at its first start.")
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="The Redis or Valkey that holds the log.")
    redis_persistence_vouched: bool = Field(
        False, description="For a managed Redis that hides its CONFIG: you vouch that it persists and never evicts."
    )
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Brokers, comma-separated.")
    lease_seconds: float = Field(10, ge=1, description="How long a partition stays with a worker that went silent.")
    max_in_flight: int = Field(256, ge=1, description="Events in work at once, per partition and group.")

    database_url: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/prosa"), description="The Postgres (or Supabase) of the read model."
    )

    twilio_account_sid: str = Field(DEVELOPMENT_ACCOUNT, description="The account whose messages these are.")
    twilio_auth_token: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (SecretStr(DEVELOPMENT_TOKEN),),
        description="Signs webhooks; several, comma-separated, while rotating. The first is used for calls.",
    )
    twilio_sender: str = Field(
        "whatsapp:+14155238886", description="Our WhatsApp address; a reply goes out from the address that was written to."
    )
    twilio_api_url: str = Field("https://api.twilio.com", description="Twilio's REST API, or a stand-in.")
    twilio_timeout_seconds: float = Field(5, gt=0, description="Limit of one call to Twilio.")
    typing_indicator: bool = Field(
        False, description="Show typing dots while the model works; this also marks the contact's message as read."
    )
    send_proof_seconds: float = Field(
        60, gt=0, description="How long a send of unknown outcome is looked for before its absence counts."
    )
    send_absence_is_proof: bool = Field(
        True, description="Whether a message that Twilio does not list after that time was not sent; else a person decides."
    )

    ai_model: str = Field("offline", description="`offline`, `openai:NAME`, `anthropic:NAME` or `ollama:NAME`.")
    ai_fallback_models: CommaSeparated = Field((), description="Tried in order when the model fails; comma-separated.")
    ai_instructions: str = Field(
        "You answer customers on WhatsApp. Be brief, friendly and honest; answer in the language the contact writes.",
        description="What the model is told to be.",
    )
    ai_request_timeout_seconds: float = Field(30, gt=0, description="Limit of one request to a model.")
    ai_turn_timeout_seconds: float = Field(90, gt=0, description="Limit of one whole answer, retries and fallbacks included.")
    ai_failure_sentence: str = Field(
        "Sorry, I cannot answer right now. Please try again later.",
        description="What the contact is told when no model could answer; `none`: nothing.",
    )
    openai_base_url: str | None = Field(None, description="Any server that speaks OpenAI's Chat Completions.")
    openai_api_key: SecretStr | None = Field(None, description="The key for it.")
    anthropic_api_key: SecretStr | None = Field(None, description="The key for `anthropic:NAME`.")
    ollama_base_url: str = Field("http://127.0.0.1:11434/v1", description="The Ollama server of `ollama:NAME`.")
    reply_quiet_seconds: float = Field(1.0, ge=0, description="How long a contact must be silent before the AI answers.")

    conversation_idle_timeout_minutes: float = Field(15, gt=0, description="Silence until a conversation is idle.")
    conversation_expiration_minutes: float = Field(1440, gt=0, description="Silence until it expires.")
    conversation_pending_expiration_minutes: float = Field(2880, gt=0, description="The same, if nobody ever answered.")
    conversation_handoff_timeout_minutes: float = Field(720, gt=0, description="Silence until a handoff runs out.")
    conversation_after_handoff: AfterHandoff = Field(
        AfterHandoff.ACTIVE, description="What it becomes then: `active` (the AI answers again) or `expired`."
    )
    conversation_close_words: CommaSeparated = Field(
        ("sair", "encerrar", "tchau", "stop", "bye"),
        description="A whole message equal to one of these closes; comma-separated, or `none`.",
    )

    clock_tick_seconds: float = Field(60, gt=0, description="Between two ticks of the clock.")
    retry_max_attempts: int = Field(5, ge=1, description="Tries of one event in one group before it is a dead letter.")
    retry_base_seconds: float = Field(0.5, gt=0, description="Wait before the second try; doubles each time, with jitter.")
    retry_max_seconds: float = Field(30, gt=0, description="The longest wait between two tries.")

    @field_validator("ai_failure_sentence")
    @classmethod
    def _none(cls, value: str) -> str:
        return "" if _is_none(value) else value

    @field_validator("redis_url")
    @classmethod
    def _is_redis_url(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("does not begin with redis:// or rediss://")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database_url(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("does not begin with postgresql://")
        return value

    @field_validator("twilio_sender")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value.startswith("whatsapp:") or "|" in value:
            raise ValueError("is not an address such as whatsapp:+14155238886")
        return value

    @field_validator("ai_fallback_models", "conversation_close_words", "twilio_auth_token", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return () if _is_none(value) else tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("is not one of DEBUG, INFO, WARNING, ERROR")
        return level

    @field_validator("public_base_url", "twilio_api_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        try:
            address = urlsplit(value)
            is_complete = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
        except ValueError:
            is_complete = False
        if not is_complete:
            raise ValueError("is not an http(s) address")
        return value.partition("#")[0].rstrip("/")

    @field_validator("twilio_auth_token")
    @classmethod
    def _some_token(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            raise ValueError("is empty; webhooks would be unsigned")
        return value

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            problems = list(_unsafe(self))
            if problems:
                raise ValueError("; ".join(problems))
        return self


def _is_none(value: str) -> bool:
    """An empty variable means the default, so that emptiness itself needs a word."""
    return value.strip().lower() == "none"


def _unsafe(settings: Settings) -> list[str]:
    """Why these settings must not serve real contacts. Names, never values."""
    problems = []
    secret = settings.secret_key.get_secret_value()
    if secret == DEVELOPMENT_SECRET or len(secret) < SHORTEST_SECRET:
        problems.append(f"SECRET_KEY is missing, the default, or shorter than {SHORTEST_SECRET} characters")
    tokens = [token.get_secret_value() for token in settings.twilio_auth_token]
    if any(token == DEVELOPMENT_TOKEN or len(token) < SHORTEST_SECRET for token in tokens):
        problems.append(f"TWILIO_AUTH_TOKEN is missing, the default, or shorter than {SHORTEST_SECRET} characters")
    if settings.twilio_account_sid == DEVELOPMENT_ACCOUNT:
        problems.append("TWILIO_ACCOUNT_SID is missing")
    if not settings.public_base_url.startswith("https://"):
        problems.append("PUBLIC_BASE_URL is not an https address")
    return problems


def load_settings(**given: Any) -> Settings:
    """
    Read the settings, or raise `ConfigurationError` with one line per problem, naming settings and never their values.

    What is `given` by field name comes before the environment.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_line_of(problem["loc"], problem["msg"]) for problem in error.errors())) from None


def _line_of(location: tuple[int | str, ...], message: str) -> str:
    sentence = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()} {sentence}" if location else sentence
