"""Health and metrics, as the three processes serve them."""

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from metrics import Process
from simulator.servers import is_taken
from tests.acceptance.running import eventually
from tests.acceptance.services import SECONDS, Services

WORKERS, PARTITIONS = 3, 8

Exported = Mapping[str, Sequence[Sample]]
"""The samples of each family, by the name that the list gives it."""


def first_of_free_ports(many: int) -> int:
    """So many ports in a row, below the system's own choice."""
    while True:
        first = random.randrange(20_000, 30_000)  # noqa: S311 - nothing secret
        if not any(is_taken(port) for port in range(first, first + many)):
            return first


class Vitals:
    """What the three processes of `services` tell of themselves, each worker at a port of its own."""

    def __init__(self, services: Services) -> None:
        first = first_of_free_ports(WORKERS + 1)
        clock = first + WORKERS
        services.handlers.environment = {**services.handlers.environment, "METRICS_PORT": str(first)}
        services.clock.environment = {**services.clock.environment, "METRICS_PORT": str(clock)}
        self.ports = {Process.WEBHOOK: [services.webhook_port], Process.CLOCK: [clock]} | {
            Process.HANDLERS: [first + worker for worker in range(WORKERS)]
        }

    async def get(self, process: Process, path: str) -> list[tuple[int, str]]:
        """What each worker of the process answers; one that is not served yet is left out."""
        answers = []
        async with aiohttp.ClientSession(trust_env=False) as session:
            for port in self.ports[process]:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                        answers.append((response.status, await response.text()))
        return answers

    async def problems(self, process: Process, path: str = "/health/ready") -> list[str] | None:
        """What keeps any worker of the process from its work, None where some worker is not served yet."""
        answers = await self.get(process, path)
        for status, text in answers:
            assert (status == 200) == (json.loads(text) == {"status": "ok", "problems": []})
        if len(answers) < len(self.ports[process]):
            return None
        return [problem for _, text in answers for problem in json.loads(text)["problems"]]

    async def is_ready(self, *processes: Process) -> None:
        """Return once all of these are."""

        async def look() -> bool:
            return [await self.problems(process) for process in processes] == [[]] * len(processes)

        await eventually(look, SECONDS, f"{', '.join(processes)} ready")

    async def lacks(self, process: Process, sentence: str) -> None:
        """Return once the process tells that this is missing."""

        async def look() -> bool:
            return any(sentence in problem for problem in await self.problems(process) or ())

        await eventually(look, SECONDS, f"{process} lacks: {sentence}")

    async def exported(self, process: Process) -> Exported:
        found: dict[str, list[Sample]] = {}
        for _, text in await self.get(process, "/metrics"):
            for family in text_string_to_metric_families(text):
                name = family.name.removesuffix("_total") + ("_total" if family.type == "counter" else "")
                found.setdefault(name, []).extend(family.samples)
        return found


def of(exported: Exported, name: str, **labels: str) -> list[float]:
    """The values of the samples of this name that have these labels."""
    samples = [sample for family in exported.values() for sample in family if sample.name == name]
    return [sample.value for sample in samples if labels.items() <= sample.labels.items()]
