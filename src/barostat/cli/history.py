"""`barostat history`: what a VM had and needed, drawn, or for a spreadsheet or a program.

Only a daemon remembers, so only a daemon is asked.
"""

from __future__ import annotations

import asyncio
import csv
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from barostat.cli.chart import Chart, Ink, Row, draw, plain
from barostat.cli.console import StdoutConsole
from barostat.cli.documents import print_document
from barostat.cli.output import say
from barostat.cli.reach import socket_option
from barostat.cli.times import DURATION, format_moment
from barostat.errors import InputError
from barostat.service.client import open_daemon
from barostat.service.documents import Settings
from barostat.service.past import GuestHistory, PastSample
from barostat.units import format_size

__all__ = ["history_command"]

POINTS: Final = 600
"""Three for each column of a wide terminal; in an hour, one for every 6 s."""

MOST_POINTS: Final = 2000
"""A spreadsheet is not a screen: as many as there may be."""

ROWS: Final = 12
DAY_S: Final = 86_400

STYLES: Final = {Ink.FRAME: "dim", Ink.AREA: "cyan", Ink.LINE: "bold yellow", Ink.LIMIT: "red"}


@click.command()
@click.argument("vm")
@click.option(
    "--since",
    "since_s",
    type=DURATION,
    default="1h",
    show_default=True,
    help='How far to look back, as in "15m", "1h" or "30d".',
)
@socket_option
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="A chart for people, one JSON document, or a line a sample (sizes in bytes, times in "
    "seconds since 1970).",
)
def history_command(*, vm: str, since_s: float, socket: Path, output: str) -> None:
    """Show what a VM had and needed, as a chart or numbers.

    In the chart its demand is an area, and what was assigned a line. The longer the time, the
    coarser the samples; each is a mean. Where nothing is drawn the VM was off, or nobody looked.
    """
    until_s = time.time()
    points = POINTS if output == "table" else MOST_POINTS
    found, settings = asyncio.run(_ask(vm, until_s - since_s, until_s, points, socket))
    if output == "json":
        print_document(found)
    elif output == "csv":
        _print_csv(found)
    elif not found.samples:
        say(f"nothing was recorded of {vm} in that time; --since looks further back")
    else:
        _print_chart(found, settings, until_s - since_s, until_s)


async def _ask(
    vm: str, since_s: float, until_s: float, points: int, socket: Path
) -> tuple[GuestHistory, Settings | None]:
    """Ask for the past, and for the limits that hold now."""
    async with open_daemon(socket) as desk:
        found = await desk.history(vm, since_s=since_s, until_s=until_s, points=points)
        try:
            settings = (await desk.details(vm)).settings.in_force
        except InputError:  # it is known no more, and has none
            settings = None
        return found, settings


def _print_csv(found: GuestHistory) -> None:
    names = list(PastSample.model_fields)
    table = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    table.writeheader()
    table.writerows(sample.model_dump(mode="json") for sample in found.samples)


def _print_chart(
    found: GuestHistory, settings: Settings | None, since_s: float, until_s: float
) -> None:
    limits = {}
    if settings is not None:
        limits = {"minimum": settings.minimum_bytes, "maximum": settings.maximum_bytes}
    chart = Chart(
        since_s=since_s,
        until_s=until_s,
        step_s=found.step_s,
        area=[(sample.at_s, sample.demand_bytes) for sample in found.samples],
        line=[(sample.at_s, sample.assigned_bytes) for sample in found.samples],
        moment=lambda at_s: _moment(at_s, until_s - since_s),
        limits=limits,
    )
    console = StdoutConsole()
    width = min(console.width, shutil.get_terminal_size().columns)
    margin = max((len(name) + 1 for name in limits), default=0)
    rows = draw(chart, width=width - margin, height=ROWS)
    console.print(_coloured(rows) if console.is_terminal else plain(rows))
    console.print("", _sum(found), sep="\n")


def _coloured(rows: tuple[Row, ...]) -> Text:
    lines = (Text.assemble(*((text, STYLES[ink]) for text, ink in row)) for row in rows)
    return Text("\n").join(lines)


def _moment(at_s: float, length_s: float) -> str:
    if length_s > DAY_S:
        return format_moment(at_s)
    return datetime.fromtimestamp(at_s).astimezone().strftime("%H:%M:%S")


def _sum(found: GuestHistory) -> str:
    """Say what Hyper-V's Measure-VM does: the mean, least and most that was assigned."""
    samples = found.samples
    looks = sum(sample.looks for sample in samples)
    mean = sum(sample.assigned_bytes * sample.looks for sample in samples) // max(looks, 1)
    least = min(sample.assigned_min_bytes for sample in samples)
    most = max(sample.assigned_max_bytes for sample in samples)
    demands = [sample.demand_max_bytes for sample in samples if sample.demand_max_bytes is not None]
    needed = f"; it needed at most {format_size(max(demands))}" if demands else ""
    return (
        f"{found.guest}: {format_size(mean)} assigned on average, {format_size(least)} to "
        f"{format_size(most)}{needed} (█ demand, ─ assigned; a sample is {found.step_s} s)"
    )
