"""Every metric of the list is exported by the processes that the list names, and no other: asked of the real three processes."""

from pathlib import Path

from metrics import METRICS, Process
from tests.acceptance.missing import without
from tests.acceptance.running import eventually, prosa
from tests.acceptance.services import EMBEDDED, SECONDS, Services
from tests.acceptance.vitals import PARTITIONS, Exported, Vitals, of

CONTACT = "whatsapp:+5511955554444"
QUICK = {"REPLY_QUIET_SECONDS": "0.1", "LEASE_SECONDS": "2", "TWILIO_TIMEOUT_SECONDS": "1", "CLOCK_TICK_SECONDS": "1"}


async def test_what_is_listed_is_exported_and_what_is_exported_is_listed(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url, **without(EMBEDDED, tmp_path / "site"))
    services = Services(tmp_path / "run", {**QUICK, "REDIS_URL": redis_url, "DATABASE_URL": database_url})
    vitals = Vitals(services)
    async with services.running() as twilio:
        await services.webhook_is_ready()
        await twilio.write(CONTACT, "Olá", copies=2)

        async def has_settled() -> bool:
            """Answered, counted, and its lag looked at."""
            handlers, clock = await vitals.exported(Process.HANDLERS), await vitals.exported(Process.CLOCK)
            pairs = {(sample.labels["group"], sample.labels["partition"]) for sample in handlers.get("prosa_lag_events", ())}
            is_sent = sum(of(handlers, "prosa_send_outcomes_total", outcome="sent")) == 1
            return is_sent and len(pairs) == 3 * PARTITIONS and of(clock, "prosa_conversations", status="active") == [1]

        await eventually(has_settled, SECONDS, "an answer, and the gauges that tell of it")
        for process in Process:
            exported = await vitals.exported(process)
            listed = {metric.name for metric in METRICS if process in metric.exported_by}
            assert {name for name in exported if name.startswith("prosa_")} == listed
            check_labels(process, exported)
        webhook, handlers, clock = [await vitals.exported(process) for process in Process]
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
