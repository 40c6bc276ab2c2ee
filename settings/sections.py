"""Every setting by section: name, default, bounds and meaning. Durations are bounded so that no timestamp overflows."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, Field, SecretStr

from settings.kinds import (
    BaseUrl,
    CommaSeparated,
    DatabaseUrl,
    LogLevel,
    NoneIsEmpty,
    OptionalBaseUrl,
    RedisUrl,
    Tokens,
    WhatsAppAddress,
)
from streams.events import AfterHandoff

DEVELOPMENT_SECRET = "development-only-secret"  # noqa: S105 - refused in production
DEVELOPMENT_TOKEN = "development-only-token"  # noqa: S105 - refused in production
DEVELOPMENT_ACCOUNT = "AC00000000000000000000000000000000"

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR_IN_MINUTES = 366 * 24 * 60
"""The longest silence that a conversation may wait for."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class StreamEngine(StrEnum):
    REDIS = "redis"
    KAFKA = "kafka"


class Log(BaseModel):
    """Where every event is kept."""

    stream_engine: StreamEngine = Field(StreamEngine.REDIS, description="`redis`; this version has no other engine yet.")
    stream_partitions: int = Field(8, ge=1, le=1024, description="Partitions of the log, fixed at its first start.")
    redis_url: RedisUrl = Field(SecretStr("redis://127.0.0.1:6379/0"), description="The Redis or Valkey that holds the log.")
    redis_persistence_vouched: bool = Field(
        False, description="For a managed Redis that hides its CONFIG: you vouch that it persists and never evicts."
    )
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Not used by this version: for an engine to come.")
    lease_seconds: float = Field(10, ge=1, le=HOUR, description="How long a partition stays with a worker that went silent.")
    max_in_flight: int = Field(256, ge=1, le=65536, description="Events in work at once, per partition and group.")


class ReadModel(BaseModel):
    """Where conversations can be seen."""

    database_url: DatabaseUrl = Field(
        SecretStr("postgresql://127.0.0.1:5432/prosa"), description="The Postgres (or Supabase) of the read model."
    )


class Twilio(BaseModel):
    """The account, the sender, and how each reaches the other."""

    twilio_account_sid: str = Field(DEVELOPMENT_ACCOUNT, description="The account whose messages these are.")
    twilio_auth_token: Tokens = Field(
        (SecretStr(DEVELOPMENT_TOKEN),),
        description="Signs webhooks; several, comma-separated, while rotating. The first is used for calls.",
    )
    twilio_sender: WhatsAppAddress = Field(
        "whatsapp:+14155238886", description="Our WhatsApp address; a reply goes out from the address that was written to."
    )
    public_base_url: BaseUrl = Field(
        "http://127.0.0.1:8000", description="How Twilio reaches the webhook; signatures are checked against it."
    )
    twilio_api_url: BaseUrl = Field("https://api.twilio.com", description="Twilio's REST API, or a stand-in.")
    twilio_timeout_seconds: float = Field(
        5, gt=0, le=5 * MINUTE, description="Limit of one call to Twilio; never more than half of LEASE_SECONDS."
    )
    twilio_messages_per_second: float = Field(
        0,
        ge=0,
        le=1000,
        description="Sends that may begin each second from one of our addresses, by all workers together. 0 leaves it to Twilio, "
        "which queues what is faster than the sender's own rate (80 by default) for up to 4 hours.",
    )
    typing_indicator: bool = Field(
        False, description="Show typing dots while the model works; this also marks the contact's message as read."
    )
    send_proof_seconds: float = Field(
        60, gt=0, le=DAY, description="How long a send of unknown outcome is looked for before its absence counts."
    )
    send_absence_is_proof: bool = Field(
        True, description="Whether a message that Twilio does not list after that time was not sent; else a person decides."
    )


class Model(BaseModel):
    """Who answers, and how long that may take."""

    ai_model: str = Field("offline", description="`offline`, `openai:NAME`, `anthropic:NAME` or `ollama:NAME`.")
    ai_fallback_models: CommaSeparated = Field((), description="Tried in order when the model fails; comma-separated.")
    ai_instructions: str = Field(
        "You answer customers on WhatsApp. Be brief, friendly and honest; answer in the language the contact writes.",
        description="What the model is told to be.",
    )
    ai_request_timeout_seconds: float = Field(30, gt=0, le=HOUR, description="Limit of one request to a model.")
    ai_turn_timeout_seconds: float = Field(
        90,
        gt=0,
        le=HOUR,
        description="Limit of one whole answer; until then a model that fails is asked again, fallbacks in turn.",
    )
    ai_failure_sentence: NoneIsEmpty = Field(
        "Sorry, I cannot answer right now. Please try again later.",
        description="What the contact is told when no model could answer; `none`: nothing.",
    )
    openai_base_url: OptionalBaseUrl = Field(None, description="Any server that speaks OpenAI's Chat Completions; ends in /v1.")
    openai_api_key: SecretStr | None = Field(None, description="The key for it.")
    anthropic_api_key: SecretStr | None = Field(None, description="The key for `anthropic:NAME`.")
    ollama_base_url: BaseUrl = Field("http://127.0.0.1:11434/v1", description="The Ollama server of `ollama:NAME`.")


class ConversationPolicy(BaseModel):
    """When a conversation goes quiet, and when it ends. A change counts from the clock's next start on."""

    reply_quiet_seconds: float = Field(
        1.0, ge=0, le=10 * MINUTE, description="How long a contact must be silent before the AI answers."
    )
    conversation_idle_timeout_minutes: float = Field(
        15, gt=0, le=YEAR_IN_MINUTES, description="Silence until a conversation is idle."
    )
    conversation_expiration_minutes: float = Field(1440, gt=0, le=YEAR_IN_MINUTES, description="Silence until it expires.")
    conversation_pending_expiration_minutes: float = Field(
        2880, gt=0, le=YEAR_IN_MINUTES, description="The same, if nobody ever answered."
    )
    conversation_handoff_timeout_minutes: float = Field(
        720, gt=0, le=YEAR_IN_MINUTES, description="Silence until a handoff runs out."
    )
    conversation_after_handoff: AfterHandoff = Field(
        AfterHandoff.ACTIVE, description="What it becomes then: `active` (the AI answers again) or `expired`."
    )
    conversation_close_words: CommaSeparated = Field(
        ("sair", "encerrar", "tchau", "stop", "bye"),
        description="A whole message equal to one of these closes; comma-separated, or `none`.",
    )


class ClockAndRetries(BaseModel):
    """How often time is told, and how often work is tried."""

    clock_tick_seconds: float = Field(60, ge=0.01, le=HOUR, description="Between two ticks of the clock.")
    reconcile_seconds: float = Field(
        300,
        ge=0,
        le=HOUR,
        description="Between two looks of the clock for messages that Twilio holds and no webhook brought; 0: it never looks.",
    )
    retry_max_attempts: int = Field(
        5,
        ge=1,
        le=1000,
        description="Tries of one event in one group before it is a dead letter; not of a model, which the turn's limit bounds.",
    )
    retry_base_seconds: float = Field(
        0.5, gt=0, le=HOUR, description="Wait before the second try; doubles each time, with jitter."
    )
    retry_max_seconds: float = Field(30, gt=0, le=HOUR, description="The longest wait between two tries.")
    retry_outage_seconds: float = Field(
        4 * HOUR,
        gt=0,
        le=24 * HOUR,
        description="What fails for so long, for no reason of its own, is given up though nothing else has worked either.",
    )


class Process(BaseModel):
    """What each of the processes is told about itself."""

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="`production` refuses default or short secrets and an unsafe Redis."
    )
    secret_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="Signs the thread tokens in callback addresses; 32 characters or more."
    )
    log_level: LogLevel = Field("INFO", description="How much is logged.")
    metrics_host: str = Field("127.0.0.1", description="Where handlers and clock serve health and metrics.")
    metrics_port: int = Field(
        9100, ge=0, le=65000, description="Health and metrics of handlers and clock; the worker's number is added. 0: none."
    )


SECTIONS: Mapping[str, type[BaseModel]] = {
    "Log": Log,
    "Read model": ReadModel,
    "Twilio": Twilio,
    "Model": Model,
    "Conversation policy": ConversationPolicy,
    "Clock and retries": ClockAndRetries,
    "Process": Process,
}
