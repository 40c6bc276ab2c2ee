"""All checks, in the order in which their findings are told."""

from collections.abc import Sequence

from operations.doctor.clock import clock
from operations.doctor.configuration import configuration
from operations.doctor.database_address import database_address
from operations.doctor.database_role import closed_tables, database_role
from operations.doctor.disk import disk
from operations.doctor.env_file import env_file
from operations.doctor.examine import Check
from operations.doctor.findings import Finding, Group, error, parted
from operations.doctor.host_clock import host_clock
from operations.doctor.left_over import left_over
from operations.doctor.log_address import log_address
from operations.doctor.log_record import log_epoch, log_record
from operations.doctor.log_safety import log_safety
from operations.doctor.log_server import log_server
from operations.doctor.lost_tail import lost_tail
from operations.doctor.metrics_port import metrics_port
from operations.doctor.migrations import migrations
from operations.doctor.model import model, model_request
from operations.doctor.public_address import public_address, webhook
from operations.doctor.read_model import read_model
from operations.doctor.system import System
from operations.doctor.twilio_account import twilio_account, twilio_call
from operations.doctor.versions import versions
from operations.doctor.workers import lag, projector_lag, workers

LOG = frozenset({"REDIS_URL", "STREAM_ENGINE", "STREAM_PARTITIONS"})
READ_MODEL = frozenset({"DATABASE_URL"})
TWILIO = frozenset({"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_URL"})
MODEL = frozenset({"AI_MODEL", "AI_FALLBACK_MODELS", "OPENAI_BASE_URL", "OLLAMA_BASE_URL"})
ADDRESS = frozenset({"PUBLIC_BASE_URL"})

_OURSELVES = (Check("settings", configuration), Check("env file", env_file), Check("versions", versions))
"""What can be looked at wherever nothing runs."""


def all_checks(*, model_seconds: float, calls_twilio: bool = False, asks_model: bool = False) -> Sequence[Check]:
    """What is always looked at, and the two looks that somebody must ask for: one call to Twilio, one request to each model."""
    return [
        *_OURSELVES,
        Check("log", log_server, LOG),
        Check("log address", log_address, LOG),
        Check("log safety", log_safety, LOG, after=frozenset({"log"})),
        Check("log epoch", log_epoch, LOG, after=frozenset({"log"})),
        Check("log record", log_record, LOG, after=frozenset({"log epoch"})),
        Check("host clock", host_clock, LOG, after=frozenset({"log"})),
        Check("clock", clock, LOG, after=frozenset({"log record"})),
        Check("workers", workers, LOG, after=frozenset({"log record"})),
        Check("lag", lag, LOG, after=frozenset({"log record"})),
        Check("read model", read_model, READ_MODEL),
        Check("read model address", database_address, READ_MODEL),
        Check("migrations", migrations, READ_MODEL, after=frozenset({"read model"})),
        Check("database role", database_role, READ_MODEL, after=frozenset({"read model"})),
        Check("closed tables", closed_tables, READ_MODEL, after=frozenset({"migrations"})),
        Check("left over", left_over, READ_MODEL, after=frozenset({"migrations"})),
        Check("lost tail", lost_tail, LOG | READ_MODEL, after=frozenset({"migrations", "log", "log epoch"})),
        Check("read model lag", projector_lag, LOG | READ_MODEL, after=frozenset({"migrations", "log", "lost tail"})),
        Check("Twilio account", twilio_account, TWILIO),
        *([Check("Twilio call", twilio_call, TWILIO, after=frozenset({"Twilio account"}))] if calls_twilio else []),
        Check("model", model, MODEL, seconds=model_seconds),
        *(
            [Check("model request", model_request, MODEL, after=frozenset({"model"}), seconds=model_seconds)]
            if asks_model
            else []
        ),
        Check("public address", public_address, ADDRESS),
        Check("webhook", webhook, ADDRESS),
        Check("metrics port", metrics_port),
        Check("disk", disk),
    ]


def checks_of_stopped(absence: str) -> Sequence[Check]:
    """Of a system whose servers do not run: that, and what needs no server."""

    async def stopped(_: System) -> Sequence[Finding]:
        return [error(Group.REACHABLE, *parted(absence))]

    return [*_OURSELVES, Check("prosa dev", stopped)]
