"""Every metric of the list is exported by the processes that the list names, and no other: asked of the real three processes."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from metrics import METRICS, Process
from simulator.servers import is_taken
from tests.acceptance.missing import without
from tests.acceptance.running import eventually, prosa
from tests.acceptance.services import EMBEDDED, SECONDS, Services

CONTACT = "whatsapp:+5511955554444"
WORKERS, PARTITIONS = 3, 8
QUICK = {"REPLY_QUIET_SECONDS": "0.1", "LEASE_SECONDS": "2", "TWILIO_TIMEOUT_SECONDS": "1", "CLOCK_TICK_SECONDS": "1"}

Exported = Mapping[str, Sequence[Sample]]
"""The samples of each family, by the name that the list gives it."""


def first_of_free_ports(many: int) -> int:
    """So many ports in a row, below the system's own choice."""
    while True:
        first = random.randrange(20_000, 30_000)  # noqa: S311 - nothing secret
        if not any(is_taken(port) for port in range(first, first + many)):
            return first


class Scraped:
    """The three processes, asked for their metrics."""

    def __init__(self, services: Services) -> None:
        first = first_of_free_ports(WORKERS + 1)
        clock = first + WORKERS
        services.handlers.environment = {**services.handlers.environment, "METRICS_PORT": str(first)}
        services.clock.environment = {**services.clock.environment, "METRICS_PORT": str(clock)}
        self.ports = {Process.WEBHOOK: [services.webhook_port], Process.CLOCK: [clock]} | {
            Process.HANDLERS: [first + worker for worker in range(WORKERS)]
        }

    async def get(self, process: Process, path: str = "/metrics") -> list[str]:
        """What each worker of the process answers."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            answers = []
            for port in self.ports[process]:
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    answers.append(await response.text())
            return answers

    async def exported(self, process: Process) -> Exported:
        found: dict[str, list[Sample]] = {}
        for text in await self.get(process):
            for family in text_string_to_metric_families(text):
                name = family.name.removesuffix("_total") + ("_total" if family.type == "counter" else "")
                found.setdefault(name, []).extend(family.samples)
        return found


async def test_what_is_listed_is_exported_and_what_is_exported_is_listed(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url, **without(EMBEDDED, tmp_path / "site"))
    services = Services(tmp_path / "run", {**QUICK, "REDIS_URL": redis_url, "DATABASE_URL": database_url})
    scraped = Scraped(services)
    async with services.running() as twilio:
        await services.webhook_is_ready()
        await twilio.write(CONTACT, "Olá", copies=2)

        async def has_settled() -> bool:
            """Answered, counted, and its lag looked at."""
            try:
                handlers, clock = await scraped.exported(Process.HANDLERS), await scraped.exported(Process.CLOCK)
            except aiohttp.ClientError:
                return False  # not served yet
            pairs = {(sample.labels["group"], sample.labels["partition"]) for sample in handlers["prosa_lag_events"]}
            is_sent = sum(of(handlers, "prosa_send_outcomes_total", outcome="sent")) == 1
            return is_sent and len(pairs) == 3 * PARTITIONS and of(clock, "prosa_conversations", status="active") == [1]

        await eventually(has_settled, SECONDS, "an answer, and the gauges that tell of it")
        for process in Process:
            exported = await scraped.exported(process)
            listed = {metric.name for metric in METRICS if process in metric.exported_by}
            assert {name for name in exported if name.startswith("prosa_")} == listed
            check_labels(process, exported)
        webhook, handlers, clock = [await scraped.exported(process) for process in Process]
    check_figures(webhook, handlers, clock)
    for secret in (CONTACT.removeprefix("whatsapp:+"), "Olá"):
        assert secret not in str((webhook, handlers, clock))


def check_labels(process: Process, exported: Exported) -> None:
    """Labels take the values of the list."""
    for metric in METRICS:
        if process not in metric.exported_by:
            continue
        for sample in exported[metric.name]:
            assert sample.labels.keys() - {"le"} == metric.labels.keys(), metric.name
            for label, values in metric.labels.items():
                assert isinstance(values, str) or sample.labels[label] in values, sample


def check_figures(webhook: Exported, handlers: Exported, clock: Exported) -> None:
    """One message that came twice was answered once."""
    assert sum(of(webhook, "prosa_webhook_seconds_count", result="stored")) == 2 + 3
    assert sum(of(webhook, "prosa_events_appended_total", type="message.received")) == 2
    assert sum(of(handlers, "prosa_events_appended_total", type="reply.generated")) == 1
    assert sum(of(handlers, "prosa_model_seconds_count", model="offline", result="answered")) == 1
    assert sum(of(handlers, "prosa_append_seconds_count", appender="sender", result="durable")) == 2
    assert sum(of(handlers, "prosa_inbound_to_sent_seconds_count", reply="answer")) == 1
    assert 0 < sum(of(handlers, "prosa_inbound_to_sent_seconds_sum", reply="answer")) < SECONDS
    assert sum(of(handlers, "prosa_owned_partitions")) == PARTITIONS
    assert sum(of(clock, "prosa_events_appended_total", type="clock.ticked")) >= PARTITIONS
    assert max(of(handlers, "prosa_tick_age_seconds") + of(clock, "prosa_tick_age_seconds")) < SECONDS
    assert of(clock, "prosa_unanswered_conversations") == [0]
    assert of(clock, "prosa_dead_letters") == [0, 0]
    assert max(of(handlers, "prosa_lag_events") + of(handlers, "prosa_lag_seconds")) < SECONDS


def of(exported: Exported, name: str, **labels: str) -> list[float]:
    """The values of the samples of this name that have these labels."""
    samples = [sample for family in exported.values() for sample in family if sample.name == name]
    return [sample.value for sample in samples if labels.items() <= sample.labels.items()]
