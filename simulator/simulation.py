"""The parts of one running stand-in, wired."""

from dataclasses import dataclass

from fastapi import Request

from simulator.account import Account
from simulator.background import Background
from simulator.callbacks import Callbacks
from simulator.draws import Faults
from simulator.faults import FaultPlan
from simulator.injection import Injection
from simulator.ledger import Kind
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

    def plan_faults(self, plan: FaultPlan) -> None:
        """Replaces the whole plan."""
        self.faults.plan = plan
        self.account.record(Kind.FAULTS_CHANGED, plan=plan.model_dump(mode="json", by_alias=True))

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
    engine = StatusEngine(account, faults, Callbacks(account, faults, webhooks, background), background)
    engine.resume()
    injection = Injection(account, faults, webhooks, background)
    return Simulation(settings, account, faults, webhooks, background, engine, injection)


def simulation_of(request: Request) -> Simulation:
    simulation: Simulation = request.app.state.simulation
    return simulation
