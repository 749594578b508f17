"""The dashboards are what their code makes, and ask only for what there is."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.docs.test_metrics import METRICS, NAME, RECORDED, ROOT

FOLDER = ROOT / "deploy" / "grafana"
DASHBOARDS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.iterdir())}
PARTS = {"bucket", "sum", "count"}


def queries(content: dict[str, Any]) -> list[str]:
    panels = [target["expr"] for panel in content["panels"] for target in panel.get("targets", ())]
    choices = [item["definition"] for item in content["templating"]["list"] if "definition" in item]
    return panels + choices


def test_the_dashboards_are_what_their_code_makes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.dashboards", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)

    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_asks_only_for_what_there_is(name: str) -> None:
    histograms = {metric for metric, kind in METRICS.items() if kind == "histogram"}
    known = {*METRICS, *RECORDED, *(f"{one}_{part}" for one in histograms for part in PARTS)}
    asked = {metric for query in queries(DASHBOARDS[name]) for metric in NAME.findall(query)}

    assert asked - known == set()
    assert len(asked) > 10


def test_every_metric_of_a_vm_or_a_host_is_on_a_dashboard_or_in_an_alert() -> None:
    rules = (FOLDER.parent / "prometheus" / "barostat.rules.yml").read_text()
    texts = [rules, *(query for content in DASHBOARDS.values() for query in queries(content))]
    shown = {metric for text in texts for metric in NAME.findall(text)}

    unseen = set(METRICS) - shown
    assert unseen == {
        "barostat_host_memory_bytes",
        "barostat_ledger_promised_bytes",
        "barostat_moving",
        "barostat_paused",
        "barostat_starting_vms",  # what is set aside for them is
        "barostat_tick_duration_seconds",  # its buckets are
        "barostat_tier",
        "barostat_vm_paged_bytes",  # the status says that it is not 0
        "barostat_vm_promised_bytes",
    }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other_and_have_ids_of_their_own(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    cells = [
        cell
        for place in (panel["gridPos"] for panel in panels)
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_says_what_it_shows_and_of_whom(name: str) -> None:
    for panel in DASHBOARDS[name]["panels"]:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")


def test_all_braces_of_all_queries_are_closed() -> None:
    for content in DASHBOARDS.values():
        for query in queries(content):
            for opened, closed in ("()", "{}", "[]"):
                assert query.count(opened) == query.count(closed), query


def test_a_dashboard_names_no_data_source_of_ours() -> None:
    for content in DASHBOARDS.values():
        uids = set(
            re.findall(
                r'"datasource": \{"type": "prometheus", "uid": "([^"]*)"\}', json.dumps(content)
            )
        )
        assert uids == {"${source}"}
