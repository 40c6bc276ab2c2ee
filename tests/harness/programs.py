"""The processes of a small Prosa: what they are called, what they are told, and how each of them ended."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass

from settings import Settings
from tests.harness.nursery import Child

ACCOUNT, TOKEN = "AC" + "5" * 32, "a token of thirty-two characters or more"
WEBHOOK, CLOCK, SIMULATOR = "webhook", "clock", "simulator"
QUICK = {
    "STREAM_PARTITIONS": "4",
    "LEASE_SECONDS": "2",
    "TWILIO_TIMEOUT_SECONDS": "1",
    "REPLY_QUIET_SECONDS": "0.3",
    "SEND_PROOF_SECONDS": "1",
    "CLOCK_TICK_SECONDS": "2",
    "TWILIO_MESSAGES_PER_SECOND": "100",
    "RETRY_BASE_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "1",
    "METRICS_PORT": "0",
    "AI_MODEL": "offline",
    "OPENAI_API_KEY": "any",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
}
"""Everything that waits waits little."""
QUICK_DELIVERY = ("--sent-after", "0.05", "--delivered-after", "0.05", "--read-after", "0.1")
"""How soon Twilio's stand-in tells of a message's way."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended without being asked: which, with what code (minus the signal), and when, by the monotonic clock."""

    name: str
    code: int
    at: float


@dataclass
class Program:
    """One of the processes, which may have been started several times."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    child: Child | None = None
    is_wanted: bool = False
    watching: "asyncio.Task[None] | None" = None

    @property
    def running(self) -> Child:
        assert self.child is not None, f"{self.name} was never started"
        return self.child


def clean_environment(**settings: str) -> dict[str, str]:
    """Ours without any setting of Prosa's, and these."""
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in ours} | settings
