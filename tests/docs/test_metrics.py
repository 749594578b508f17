"""Every metric is explained and exists; every alert has its part of the runbook and its tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from barostat.service.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
RUNBOOK = (ROOT / "docs" / "howto" / "runbook.md").read_text()
RULES = (ROOT / "deploy" / "prometheus" / "barostat.rules.yml").read_text()
TESTS = (ROOT / "deploy" / "prometheus" / "barostat.rules.test.yml").read_text()

METRICS = dict(re.findall(r"^# TYPE (\S+) (\w+)$", Metrics().render().decode(), re.MULTILINE))
RECORDED = re.findall(r"- record: (\S+)", RULES)
ALERTS = re.findall(r"- alert: (\w+)", RULES)
NAME = re.compile(r"\b(?:instance:)?barostat_\w+(?::\w+)?")


def test_every_metric_is_explained_with_its_type_and_none_that_is_not_there() -> None:
    explained = re.findall(r"^\| `(barostat_\w+)` \| (\w+) \|", PAGE, re.MULTILINE)

    assert dict(explained) == METRICS
    assert len(explained) == len(METRICS)


def test_every_metric_that_the_rules_and_the_runbook_name_exists() -> None:
    named = set(NAME.findall(RULES) + NAME.findall(TESTS) + NAME.findall(RUNBOOK))

    assert named - set(METRICS) - set(RECORDED) == set()


def test_the_issue_s_names_are_there() -> None:
    balancer = (
        "available_memory_bytes",
        "available_memory_for_balancing_bytes",
        "average_pressure_ratio",
        "system_current_pressure_ratio",
    )
    guest = (
        "added_bytes_total",
        "removed_bytes_total",
        "add_operations_total",
        "remove_operations_total",
        "pressure_current_ratio",
        "pressure_minimum_ratio",
        "pressure_maximum_ratio",
        "guest_available_bytes",
        "guest_visible_physical_memory_bytes",
        "physical_bytes",
        "demand_bytes",
        "status",
    )
    wanted = {
        *(f"barostat_dynamic_memory_balancer_{name}" for name in balancer),
        *(f"barostat_dynamic_memory_vm_{name}" for name in guest),
    }

    assert wanted <= set(METRICS)


def test_every_alert_has_its_part_of_the_runbook_and_no_part_is_left_over() -> None:
    parts = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)

    assert parts == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_a_part_of_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do(
    alert: str,
) -> None:
    part = RUNBOOK.partition(f"\n## {alert}\n")[2].partition("\n## ")[0]

    assert re.findall(r"^\*\*(\w+)\.\*\*", part, re.MULTILINE) == ["Means", "Look", "Do"]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_leads_to_its_part_of_the_runbook(alert: str) -> None:
    rule = RULES.partition(f"- alert: {alert}\n")[2].partition("- alert: ")[0]

    assert f"runbook: docs/howto/runbook.md#{alert.lower()}\n" in rule
    assert "summary: " in rule
    assert re.search(r"severity: (info|warning|critical)\n", rule)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_to_fire_and_not_to_fire(alert: str) -> None:
    cases = re.findall(rf"alertname: {alert}\n +eval_time: \w+\n +exp_alerts:(.*)\n", TESTS)

    assert " []" in cases
    assert "" in cases


def test_every_recording_rule_is_tested() -> None:
    assert set(re.findall(r"- expr: (\S+)", TESTS)) == set(RECORDED)
