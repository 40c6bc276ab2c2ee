"""The parts of one running stand-in, wired."""

from dataclasses import dataclass

from fastapi import Request

from simulator.account import Account
from simulator.background import Background
from simulator.faults import Faults
from simulator.injection import Injection
from simulator.settings import SimulatorSettings
from simulator.status_engine import StatusEngine
from simulator.webhook_client import WebhookClient


@dataclass(frozen=True, slots=True)
class Simulation:
    settings: SimulatorSettings
    account: Account
    faults: Faults
    webhooks: WebhookClient
    background: Background
    engine: StatusEngine
    injection: Injection

    async def close(self) -> None:
        await self.background.cancel()
        await self.webhooks.close()
        self.account.close()


def started(settings: SimulatorSettings) -> Simulation:
    """Read the ledger and go on where it ended; needs a running loop."""
    account = Account(settings)
    faults = Faults(settings.seed)
    webhooks = WebhookClient(settings.auth_token, settings.rewrites)
    background = Background()
    engine = StatusEngine(account, faults, webhooks, background)
    engine.resume()
    return Simulation(settings, account, faults, webhooks, background, engine, Injection(account, webhooks, background))


def simulation_of(request: Request) -> Simulation:
    simulation: Simulation = request.app.state.simulation
    return simulation
