"""`barostat forecast`: how many VMs still fit, when the host is full, and whose sizes are wrong.

All of it comes from the history; no daemon is asked, and nothing is changed.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.options import output_option
from barostat.cli.output import print_json, say
from barostat.cli.times import DURATION
from barostat.config.layers import load
from barostat.errors import InputError

if TYPE_CHECKING:  # numpy is loaded when it is needed
    from barostat.simulator.forecast.report import Forecast

__all__ = ["forecast_command"]


class _Percent(click.ParamType[float]):
    """A share, written in percent."""

    name = "percent"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn "0.1%" into 0.001."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%", value.strip(), re.ASCII)
        ratio = float(found[1]) / 100 if found else math.nan
        if not 0 < ratio < 1:
            self.fail(f'"{value}" is no share of minutes; write it as "0.1%"', param, ctx)
        return ratio


@click.command()
@click.option(
    "--history",
    "path",
    type=click.Path(path_type=Path),
    help="The daemon's history, or a copy of one. Default: where the configuration has it.",
)
@click.option(
    "--since",
    "since_s",
    type=DURATION,
    default="30d",
    show_default=True,
    help='How far to look back from its end, as in "7d" or "30d".',
)
@click.option(
    "--slo",
    "slo_ratio",
    type=_Percent(),
    default="0.1%",
    show_default=True,
    help="The share of minutes in which a VM may lack memory.",
)
@click.option(
    "--what-if",
    "what_ifs",
    multiple=True,
    metavar="CHANGE",
    help='Answer for another host, too: "add 5 like web", "remove db", "capacity 192GiB", or '
    "several with commas between. Can be given several times.",
)
@output_option
def forecast_command(
    *, path: Path | None, since_s: float, slo_ratio: float, what_ifs: tuple[str, ...], output: str
) -> None:
    """Say how many VMs still fit, when the host is full, and whose sizes are wrong.

    Each answer comes with the numbers that it stands on. It takes a day of history to say what
    fits, three for a trend, and seven before less memory is advised for a VM.
    """
    # numpy takes a moment to load, and only this needs it
    from barostat.simulator.forecast.reading import read_recorded  # noqa: PLC0415
    from barostat.simulator.forecast.report import document_of, forecast_of  # noqa: PLC0415

    recorded = read_recorded(path or _configured(), since_s=since_s)
    say("trying out what fits takes some seconds")
    found = forecast_of(recorded, slo_ratio=slo_ratio, what_ifs=what_ifs)
    if output == "json":
        print_json(document_of(found))
    else:
        _print(found)


def _configured() -> Path:
    """Find the history where the daemon keeps it."""
    path = load(environment=os.environ).config.history.path
    if path is None:
        raise InputError(
            "the configuration has the daemon remember nothing",
            hint="set `path` in [history], or name a history with --history",
        )
    return path


def _print(found: Forecast) -> None:
    from barostat.cli.forecast_words import facts_of, side_by_side  # noqa: PLC0415 - as above

    console = StdoutConsole()
    if len(found.hosts) > 1:
        console.print(side_by_side(found.hosts), "", sep="\n")
    console.print(console.facts(facts_of(found)))
