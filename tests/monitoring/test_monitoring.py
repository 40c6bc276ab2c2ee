"""Prometheus's rules and the dashboard: well formed, firing when they should, and speaking of nothing that is not exported."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics import METRICS, Metric

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
ALERTS = MONITORING / "alerts.yml"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "prosa.json"
RUNBOOKS = ROOT / "docs" / "operations.md"

PYTHONS_OWN = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
ADDED_BY_PROMETHEUS = {"up", "job", "instance"}
RATE_INTERVAL = "$__rate_interval"
JOBS = {"webhook", "handlers", "clock"}


@pytest.fixture
def promtool() -> str:
    """Prometheus's own checker: Debian has it in the package `prometheus`."""
    found = shutil.which("promtool")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("promtool is not installed; apt-get install prometheus")
    return found


@cache
def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


@cache
def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


# ----------------------------------------------------------------------------------------------------------- promtool


def test_prometheus_accepts_the_configuration_and_the_rules(promtool: str) -> None:
    _check(promtool, "check", "config", str(MONITORING / "prometheus.yml"))


def test_each_rule_fires_when_it_should_and_not_before(promtool: str) -> None:
    _check(promtool, "test", "rules", str(Path(__file__).with_name("alerts_test.yml")))


def test_prometheus_understands_every_expression_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    queries = [expression.replace(RATE_INTERVAL, "1m") for expression in expressions()]
    recorded = [{"record": f"prosa:test{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": recorded}]}))
    _check(promtool, "check", "rules", str(file))


def _check(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stdout + done.stderr


# -------------------------------------------------------------------------------------------------------------- names


def series() -> Mapping[str, Metric[Any]]:
    """Every series that the typed list exports, by its name."""
    return {name: metric for metric in METRICS for name in _series_of(metric)}


def _series_of(metric: Metric[Any]) -> Iterator[str]:
    if metric.kind == "histogram":
        yield from (f"{metric.name}_{part}" for part in ("bucket", "sum", "count"))
    else:
        yield metric.name


@pytest.mark.parametrize("expression", expressions())
def test_a_rule_or_panel_names_only_what_is_exported(expression: str) -> None:
    named = set(re.findall(r"\b(?:prosa|process)_[a-z_]+", expression))
    assert named or "up{" in expression
    assert named <= series().keys() | PYTHONS_OWN


SELECTOR = re.compile(r"\b((?:prosa|process)_[a-z_]+|up)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(?:=~|!=|!~|=)"([^"]*)"')


@pytest.mark.parametrize("expression", [each for each in expressions() if SELECTOR.search(each)])
def test_a_selector_names_labels_and_values_that_there_are(expression: str) -> None:
    for name, matchers in SELECTOR.findall(expression):
        labels: Mapping[str, Any] = {**(series()[name].labels if name in series() else {}), "job": tuple(JOBS)}
        for label, value in MATCHER.findall(matchers):
            assert label in labels
            if not isinstance(labels[label], str):
                assert set(value.split("|")) <= set(labels[label])


@pytest.mark.parametrize("expression", [each for each in expressions() if " by (" in each])
def test_what_is_grouped_by_is_a_label(expression: str) -> None:
    metrics = [series()[name] for name in re.findall(r"\bprosa_[a-z_]+", expression)]
    labels = {label for metric in metrics for label in metric.labels} | ADDED_BY_PROMETHEUS | {"le"}
    for grouping in re.findall(r"by \(([^)]*)\)", expression):
        assert {label.strip() for label in grouping.split(",")} <= labels


def test_every_metric_that_people_notice_is_on_the_dashboard() -> None:
    """What is exported and shown nowhere is looked at by nobody."""
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    assert {metric.name for metric in METRICS if metric.name not in shown} == set()


# ------------------------------------------------------------------------------------------------------------- alerts


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_waits_says_how_bad_it_is_and_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    assert rule["for"]
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
    assert f"### {rule['alert']}\n" in RUNBOOKS.read_text()


def test_every_alert_is_tried() -> None:
    tried = Path(__file__).with_name("alerts_test.yml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tried] == []


# ---------------------------------------------------------------------------------------------------------- dashboard


def test_panels_have_their_own_place_and_the_provisioned_source() -> None:
    provisioned = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())
    (source,) = provisioned["datasources"]
    places = set[tuple[int, int]]()
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": source["uid"]}
        assert panel["description"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & places
        assert max(x for x, _ in cells) < 24
        places |= cells
    ids = [panel["id"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    assert len(ids) == len(set(ids))


def test_a_legend_names_labels_that_the_query_keeps() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in target["expr"] or label in ADDED_BY_PROMETHEUS
