"""The doctor's findings on a system of given settings, by name of the check."""

from collections.abc import Sequence
from typing import Any

from operations.doctor.checks import all_checks
from operations.doctor.examine import DEADLINE_SECONDS, Check, examine
from operations.doctor.findings import Finding, Severity
from operations.doctor.system import opened
from settings import Problem, Settings
from simulator.servers import free_port

CANARY = "canary-that-nobody-may-see"


class Findings(list[tuple[str, Finding]]):
    """What was found, in order."""

    def of(self, check: str) -> list[Finding]:
        return [finding for name, finding in self if name == check]

    def severities(self, check: str) -> list[Severity]:
        return [finding.severity for finding in self.of(check)]

    def told(self, check: str) -> str:
        """Every sentence of a check that is not well, each with its remedy."""
        return "\n".join(f"{each.sentence} {each.remedy}" for each in self.of(check) if each.severity)

    @property
    def everything(self) -> str:
        return "\n".join(f"{name} {finding}" for name, finding in self)


def settings(**changes: Any) -> Settings:
    """No `.env` is read; what is not given is not there: nothing listens at the default addresses of a test."""
    nowhere = {
        "redis_url": f"redis://127.0.0.1:{free_port()}/0",
        "database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/nothing",
        "public_base_url": f"http://127.0.0.1:{free_port()}",
        "metrics_port": free_port(),
    }
    return Settings(_env_file=None, **{**nowhere, **changes})


async def look(
    *, problems: Sequence[Problem] = (), checks: Sequence[Check] | None = None, seconds: float = DEADLINE_SECONDS, **changes: Any
) -> Findings:
    """Examine the system of these settings."""
    wanted = settings(**changes)
    chosen = all_checks(model_seconds=seconds) if checks is None else checks
    async with opened(wanted, problems) as system:
        return Findings(await examine(system, chosen, seconds=seconds))


async def look_at(name: str, **changes: Any) -> Findings:
    """Only one check, with those that it comes after."""
    every = {check.name: check for check in all_checks(model_seconds=DEADLINE_SECONDS, calls_twilio=True, asks_model=True)}
    wanted: dict[str, Check] = {}

    def add(each: str) -> None:
        for before in every[each].after:
            add(before)
        wanted[each] = every[each]

    add(name)
    return await look(checks=list(wanted.values()), **changes)
