"""What runs where: the ports, the environment and the command lines of a run."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from development.directory import RunDirectory
from development.supervision import Program
from settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_SECRET, DEVELOPMENT_TOKEN

HOST = "127.0.0.1"
READY = "/health/ready"

_ROOT = Path(__file__).parents[1]
"""Where our packages are, in a checkout or installed."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens on the loopback address; `metrics` is the first worker's, and the clock's follows the last's."""

    webhook: int = 8000
    simulator: int = 8010
    valkey: int = 6399
    postgres: int = 5439
    metrics: int = 9100


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to start, and where its data are.

    `movable` are the options of the ports that nobody asked for: where such a one is taken, another will do.
    """

    ports: Ports
    workers: int
    directory: RunDirectory
    movable: frozenset[str] = frozenset()

    @property
    def worker_metrics(self) -> range:
        return range(self.ports.metrics, self.ports.metrics + self.workers)

    @property
    def clock_metrics(self) -> int:
        return self.worker_metrics.stop

    @property
    def webhook_url(self) -> str:
        return url(self.ports.webhook)

    @property
    def simulator_url(self) -> str:
        return url(self.ports.simulator)


def url(port: int, path: str = "") -> str:
    """An address of this machine."""
    return f"http://{HOST}:{port}{path}"


def addresses(plan: Plan, redis_url: str, database_url: str) -> dict[str, str]:
    """The settings that tie the processes of this run together; whatever else is set in the environment or `.env` stays."""
    return {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "PUBLIC_BASE_URL": plan.webhook_url,
        "TWILIO_API_URL": plan.simulator_url,
        "TWILIO_ACCOUNT_SID": DEVELOPMENT_ACCOUNT,
        "TWILIO_AUTH_TOKEN": DEVELOPMENT_TOKEN,
        "SECRET_KEY": DEVELOPMENT_SECRET,
        "ENVIRONMENT": "development",
        "STREAM_ENGINE": "redis",
    }


def programs(plan: Plan, settings: Mapping[str, str], *, sender: str, has_colours: bool) -> list[Program]:
    """The processes, as production runs them; no module of the working directory can take the place of one of ours."""
    environment = {**os.environ, **settings, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    if has_colours:
        environment["FORCE_COLOR"] = "1"
    python = [sys.executable, "-m"]
    faststream = [*python, "faststream", "run", "--app-dir", str(_ROOT)]
    workers = ["--workers", str(plan.workers)] if plan.workers > 1 else []
    inbound = ["--sender", sender, "--inbound-url", f"{plan.webhook_url}/webhooks/twilio/messages"]
    ledger = ["--ledger", str(plan.directory.path / "simulator.jsonl")]
    return [
        Program(
            "simulator",
            [*python, "cli", "simulator", "--port", str(plan.ports.simulator), *inbound, *ledger],
            environment,
            [url(plan.ports.simulator, "/simulator/health")],
        ),
        Program(
            "webhook",
            [*python, "uvicorn", "webhook:app", "--app-dir", str(_ROOT), "--host", HOST, "--port", str(plan.ports.webhook)],
            environment,
            [url(plan.ports.webhook, READY)],
        ),
        Program(
            "clock",
            [*faststream, "handlers:clock"],
            {**environment, "METRICS_HOST": HOST, "METRICS_PORT": str(plan.clock_metrics)},
            [url(plan.clock_metrics, READY)],
        ),
        Program(
            "handlers",
            [*faststream, "handlers:app", *workers],
            {**environment, "METRICS_HOST": HOST, "METRICS_PORT": str(plan.ports.metrics)},
            [url(port, READY) for port in plan.worker_metrics],
        ),
    ]
