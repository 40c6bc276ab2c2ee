"""The list of metrics: names as Prometheus wants them, labels that cannot grow without bound, and a page that says the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import metrics
from handlers.error_table import KNOWN_CODES, classify_callback
from metrics import METRICS, AnyMetric, Process, exposition
from projections.state import ReplyKind, Status
from scripts import metrics_list
from streams.events import CATALOGUE
from webhook.door import MESSAGES_PATH, STATUS_PATH

ROOT = Path(__file__).parents[1]
MOST_SERIES = 3000
"""Of one metric and one worker, all buckets counted: what a Prometheus does not notice."""
PARTITIONS, MODELS = 8, 3

each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_the_page_says_what_the_list_says() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == "\n".join(metrics_list.lines()), "run: make docs"


def test_no_name_stands_twice() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)


@each_metric
def test_a_name_tells_its_kind_and_its_unit(metric: AnyMetric) -> None:
    assert re.fullmatch(r"prosa_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_seconds") == (metric.unit == "seconds")
    assert metric.meaning.endswith(".")
    assert metric.exported_by


@each_metric
def test_labels_are_few_and_tell_of_nobody(metric: AnyMetric) -> None:
    few = {metrics.PARTITION: PARTITIONS, metrics.MODEL: MODELS, "the version": 1, metrics.CODE: len(KNOWN_CODES) + 2}
    series = max(1, len(metric.buckets))
    for values in metric.labels.values():
        series *= few[values] if isinstance(values, str) else len(values) + 1
    assert series <= MOST_SERIES
    assert not metric.labels.keys() & {"thread", "phone", "sid", "contact", "owner", "event", "message"}


def test_a_value_that_is_not_listed_counts_as_other() -> None:
    before = _value("prosa_webhook_refused_total", limit="other")
    metrics.WEBHOOK_REFUSED.of("whatsapp:+5511900000001").inc()
    assert _value("prosa_webhook_refused_total", limit="other") == before + 1
    assert "+5511900000001" not in exposition(Process.WEBHOOK).decode()


def test_the_lists_of_values_are_those_of_the_code() -> None:
    assert metrics.WEBHOOK_SECONDS.labels["endpoint"] == (MESSAGES_PATH, STATUS_PATH)
    assert metrics.CONVERSATIONS.labels["status"] == tuple(Status)
    assert metrics.EVENTS_APPENDED.labels["type"] == tuple(CATALOGUE)
    assert set(metrics.INBOUND_TO_SENT_SECONDS.labels["reply"]) == set(ReplyKind) - {ReplyKind.FAILURE_SENTENCE}


def test_every_code_that_is_counted_by_itself_means_something() -> None:
    assert {classify_callback(code) for code in KNOWN_CODES} != {classify_callback(None)}
    assert 63016 in KNOWN_CODES


def test_what_was_never_given_up_counts_as_zero() -> None:
    """Else the first one would be no increase, and nobody would hear of it."""
    exported = exposition(Process.HANDLERS).decode()
    for name in ("event.dead_lettered", "reply.failed"):
        assert f'prosa_events_appended_total{{type="{name}"}} ' in exported


def test_a_gauge_that_nobody_has_set_is_not_zero() -> None:
    """In a process of its own: here, another test may have set some."""
    asked = [sys.executable, "-c", "import metrics; print(metrics.exposition(metrics.CLOCK).decode())"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own words
    exported = list(text_string_to_metric_families(told))
    zero = {sample.name for family in exported if family.type == "gauge" for sample in family.samples if sample.value == 0}
    assert "prosa_tick_age_seconds" in {family.name for family in exported}
    assert not {name for name in zero if name.startswith("prosa_")} - {"prosa_sends_settling"}


def _value(name: str, **labels: str) -> float:
    families = text_string_to_metric_families(exposition(Process.WEBHOOK).decode())
    samples = [sample for family in families for sample in family.samples if (sample.name, sample.labels) == (name, labels)]
    return sum(sample.value for sample in samples)
