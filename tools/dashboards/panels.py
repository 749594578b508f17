"""What a dashboard is made of: panels in rows. Colours, units and choices are said here once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "BALANCER",
    "BYTES",
    "GREEN",
    "HOST",
    "HOSTS",
    "NUMBER",
    "ONE",
    "PRESSURE",
    "RATE",
    "RATIO",
    "RED",
    "SECONDS",
    "SOME_IS_BAD",
    "STATUS_COLOURS",
    "VM",
    "Panel",
    "Row",
    "stat",
    "status_number",
]

BYTES, RATIO, SECONDS, RATE, NUMBER = "bytes", "percentunit", "s", "binBps", "none"
"""Grafana's names of units; its "bytes" are binary ones."""

VM: Final = "barostat_dynamic_memory_vm"
BALANCER: Final = "barostat_dynamic_memory_balancer"

# Whose series: of the chosen host, of the chosen hosts, of the chosen VM.
HOST: Final = '{instance="$instance"}'
HOSTS: Final = '{instance=~"$instance"}'
ONE: Final = '{instance="$instance", vm="$vm"}'

GREEN, YELLOW, RED = "green", "yellow", "red"
STATUS_COLOURS: Final = {"OK": GREEN, "Low": YELLOW, "Warning": RED, "Paging": "purple"}

Thresholds = Sequence[tuple[float | None, str]]
PRESSURE: Final[Thresholds] = ((None, GREEN), (0.9, YELLOW), (1.0, RED))
SOME_IS_BAD: Final[Thresholds] = ((None, GREEN), (1, RED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture.

    Attributes:
        title: what it shows.
        about: a sentence for who points at it.
        queries: by the names that their series are shown under ("{{vm}}": the label).
        kind: Grafana's name of the picture.
        unit: of all queries but those in `units`.
        size: columns of 24, and rows.
        stacked: pile the series up.
        lines: names of series that are drawn as lines above a pile.
        thresholds: from which value on which colour.
        colours: of series, by their names.
        units: by the name of the query.
        by: the label that a table's rows are of.
    """

    title: str
    about: str
    queries: Mapping[str, str]
    kind: str = "timeseries"
    unit: str = NUMBER
    size: tuple[int, int] = (8, 8)
    stacked: bool = False
    lines: Sequence[str] = ()
    thresholds: Thresholds = ((None, GREEN),)
    colours: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A heading, and the panels below it."""

    title: str
    panels: Sequence[Panel]


def stat(
    title: str, about: str, query: str, *, unit: str = NUMBER, thresholds: Thresholds | None = None
) -> Panel:
    """Make a panel of one figure."""
    return Panel(
        title=title,
        about=about,
        queries={title: query},
        kind="stat",
        unit=unit,
        size=(4, 4),
        thresholds=thresholds or ((None, GREEN),),
    )


def status_number(by: str, chosen: str) -> str:
    """Make one number of a VM's status: 1 OK, 2 Low, 3 Warning, 4 Paging, else 0."""
    parts = (
        f'{place} * sum by ({by}) ({VM}_status{{{chosen}, status="{name}"}})'
        for place, name in enumerate(STATUS_COLOURS, start=1)
    )
    return " + ".join(parts)
