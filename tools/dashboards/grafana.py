"""From panels to Grafana's JSON. The same panels always give the same text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tools.dashboards.panels import STATUS_COLOURS, Panel, Row

__all__ = ["Variable", "dashboard", "written"]

SCHEMA: Final = 39
"""Of Grafana 10.4; newer ones bring it up to date when they load it."""

COLUMNS: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Variable:
    """What can be chosen above the panels: a label's value, or several."""

    name: str
    label: str
    query: str
    many: bool = False


def written(content: dict[str, Any]) -> str:
    """Write a dashboard as it stands in its file."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def dashboard(
    title: str, *, uid: str, rows: Sequence[Row], variables: Sequence[Variable]
) -> dict[str, Any]:
    """Make a dashboard. Its uid is what links to it lead to, and stays the same."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["barostat"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,  # the same moment is shown in all panels
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "title": "Barostat",
                "type": "dashboards",
                "tags": ["barostat"],
                "includeVars": False,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_source(), *map(_variable, variables)]},
        "panels": _placed(rows),
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": SOURCE,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": "values"},
        "refresh": 2,  # whenever the time range changes: VMs come and go
        "sort": 1,
        "multi": variable.many,
        "includeAll": variable.many,
        **({"current": {"text": ["All"], "value": ["$__all"]}} if variable.many else {}),
    }


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Lay panels out from left to right, and go on below where a line is full."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        placed.append({"type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        left, top, high = 0, top + 1, 0
        for panel in row.panels:
            wide, tall = panel.size
            if left + wide > COLUMNS:
                left, top, high = 0, top + high, 0
            place = {"x": left, "y": top, "w": wide, "h": tall}
            placed.append({**_panel(panel), "gridPos": place})
            left, high = left + wide, max(high, tall)
        top += high
    return [{"id": number, **panel} for number, panel in enumerate(placed, start=1)]


def _panel(panel: Panel) -> dict[str, Any]:
    table = panel.kind == "table"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": name,
                "instant": table,
                "range": not table,
                "format": "table" if table else "time_series",
            }
            for number, (name, query) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        **({"transformations": _joined(panel)} if table else {}),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": colour} for value, colour in panel.thresholds]
    plain: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
    }
    if panel.kind == "timeseries":
        piled = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        plain["custom"] = {"fillOpacity": 30 if panel.stacked else 5, "stacking": piled}
        plain["custom"]["showPoints"] = "never"
    return plain


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    fixed = [
        _override(name, "color", {"mode": "fixed", "fixedColor": colour})
        for name, colour in panel.colours.items()
    ]
    units = [_override(name, "unit", unit) for name, unit in panel.units.items()]
    lines = [
        _override(name, "custom.stacking", {"mode": "none", "group": "A"}) for name in panel.lines
    ]
    statuses = [_override("status", "mappings", [_statuses()])] if panel.kind == "table" else []
    return [*fixed, *units, *lines, *statuses]


def _override(name: str, what: str, value: object) -> dict[str, Any]:
    matcher = {"id": "byName", "options": name}
    return {"matcher": matcher, "properties": [{"id": what, "value": value}]}


def _statuses() -> dict[str, Any]:
    """Say a status's number as its word."""
    words = {"0": {"text": "-"}} | {
        str(number): {"text": name, "color": colour}
        for number, (name, colour) in enumerate(STATUS_COLOURS.items(), start=1)
    }
    return {"type": "value", "options": words}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    if panel.kind == "table":
        return {"sortBy": [{"displayName": next(iter(panel.queries)), "desc": True}]}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}


def _joined(panel: Panel) -> list[dict[str, Any]]:
    """Make one table of a table a query: a row for each value of the label."""
    letters = [chr(ord("A") + number) for number in range(len(panel.queries))]
    names = {f"Value #{letter}": name for letter, name in zip(letters, panel.queries, strict=True)}
    order = {panel.by: 0} | {value: place for place, value in enumerate(names, start=1)}
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": order,
                "renameByName": names,
            },
        },
    ]
