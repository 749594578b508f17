"""`barostat forecast`: how many VMs still fit, when the host is full, and whose sizes are wrong.

All of it comes from the history; no daemon is asked, and nothing is changed.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.options import output_option
from barostat.cli.output import print_json, say
from barostat.cli.times import DURATION, format_moment
from barostat.config.layers import load
from barostat.errors import InputError
from barostat.units import format_delta, format_size

if TYPE_CHECKING:  # numpy is loaded when it is needed
    from barostat.simulator.forecast.fit import Fit
    from barostat.simulator.forecast.growth import Growth
    from barostat.simulator.forecast.report import Forecast, HostForecast
    from barostat.simulator.forecast.sizes import Advice

__all__ = ["forecast_command"]

DAY_S: Final = 86_400.0


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
    console = StdoutConsole()
    if len(found.hosts) > 1:
        console.print(_side_by_side(found.hosts), "", sep="\n")
    console.print(console.facts(_facts(found)))


def _side_by_side(hosts: tuple[HostForecast, ...]) -> Any:
    from barostat.cli.tables import plain_table  # noqa: PLC0415 - slow to load, only for this

    table = plain_table()
    table.add_column("Host")
    for title in ("VMs", "Capacity", "Peak", "Needs", "More fit"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Full")
    for host in hosts:
        fit = host.fit
        table.add_row(
            host.what_if or "as it is",
            str(fit.vms),
            _size(host.capacity_bytes),
            _size(fit.need.peak_bytes),
            _size(fit.need.bytes),
            str(fit.more),
            _when(host.growth),
        )
    return table


def _facts(found: Forecast) -> Iterator[tuple[str, str]]:
    whole_s = found.until_s - found.since_s
    length = f"{whole_s / DAY_S:.1f} days" if whole_s >= DAY_S else f"{whole_s / 3600:.1f} hours"
    period = f"{format_moment(found.since_s)} to {format_moment(found.until_s)}, {length}"
    yield "looked at", f"{period}, {found.rows} samples of {found.step_s / 60:g} min"
    for host in found.hosts:
        if host.what_if:
            yield "what if", host.what_if
        yield "fits", _fits(host.fit)
        yield "because", _because(host)
        yield "checked", _checked(host.fit)
        yield "full", _full(host)
    yield from _sizes(found)


def _fits(fit: Fit) -> str:
    more = f"{fit.more} more VM{'s' * (fit.more != 1)} like the {fit.vms} that are here"
    if not fit.more and fit.need.bytes > 0 and not fit.by_rule:
        more = f"no more VM like the {fit.vms} that are here"
    return f"{more}, where VMs may lack memory in {_percent(fit.slo_ratio)} of their minutes"


def _because(host: HostForecast) -> str:
    need, fit = host.fit.need, host.fit
    return (
        f"together they held {_size(need.mean_bytes)} on average in the last 24 hours (standard "
        f"deviation {_size(need.deviation_bytes)}), and {_size(need.peak_bytes)} at most, at "
        f"{format_moment(need.peak_at_s)}; that takes {_size(need.bytes)} of "
        f"{_size(host.capacity_bytes)} (mean and 3 deviations, or peak and 10 %). Of {fit.draws} "
        f"draws of more such VMs, {fit.by_rule} fit in 95 of 100, {fit.by_rule_median} in half"
    )


def _checked(fit: Fit) -> str:
    check = fit.check
    if check is None:
        return f"no: {fit.unchecked}"
    few = "" if check.more == fit.by_rule else f"; the rule's {fit.by_rule} were too many"
    lacked, anyway = _percent(check.lacking_ratio), _percent(check.anyway_ratio)
    return (
        f"by playing the busiest day of the last week ({format_moment(check.day_s)}, {check.rows} "
        f"samples) with Barostat on {check.draws} hosts with {check.more} more: VMs lacked memory "
        f"in {lacked} of their minutes, and in {anyway} on hosts with memory for all{few}"
    )


def _when(growth: Growth) -> str:
    from barostat.simulator.forecast.growth import Verdict  # noqa: PLC0415

    match growth.verdict:
        case Verdict.TOO_LITTLE:
            return "too little history"
        case Verdict.NOT_GROWING:
            return "not growing"
        case Verdict.FULL:
            return "now"
        case Verdict.GROWING:
            days = growth.full_in_days
            return "not in 5 years" if days is None else f"in {days:.0f} days"


def _full(host: HostForecast) -> str:
    from barostat.simulator.forecast.growth import LEAST_DAYS, Verdict  # noqa: PLC0415

    growth, line = host.growth, host.growth.line
    days = f"{growth.days} day{'s' * (growth.days != 1)}"
    if growth.verdict is Verdict.TOO_LITTLE or line is None:
        return f"not known, too little history: {days}, and it takes {LEAST_DAYS}"
    slope = f"{format_delta(int(line.slope))} a day"
    between = f"{format_delta(int(line.low))} to {format_delta(int(line.high))}"
    trend = f"the peaks of {days} change by {slope} ({between})"
    level = f"stand at {_size(growth.level_bytes or 0)} of {_size(host.capacity_bytes)}"
    few = "; of so few days it is a first guess" if growth.few_days else ""
    words = _when(growth)
    if growth.verdict is Verdict.GROWING and growth.full_in_days is not None:
        words += f", between {_days(growth.earliest_days)} and {_days(growth.latest_days)}"
    return f"{words}: {trend} and {level}{few}"


def _days(days: float | None) -> str:
    return "more than 5 years" if days is None else f"{days:.0f} days"


def _sizes(found: Forecast) -> Iterator[tuple[str, str]]:
    if found.unsettled:
        yield "settings", f"cannot be judged, they are not known: {found.unsettled}"
    elif not found.advice:
        yield "settings", "none is so wrong that it matters, as far as the history tells"
    for advice in found.advice:
        yield "settings", _advised(advice)
        yield from _commands(advice)


def _advised(advice: Advice) -> str:
    changes = ", ".join(
        f"{name.removesuffix('_bytes')} {_size(getattr(advice.now, name))} -> "
        f"{_size(getattr(advice.better, name))}"
        for name in (*advice.running, *advice.off)
    )
    needs = advice.needs
    days = f"{needs.days} day{'s' * (needs.days != 1)}"
    capped = "; its devices allow no more, though it needs it" if advice.capped else ""
    return (
        f"{advice.vm}: {changes}. In {days} it needed {_size(needs.quiet_bytes)} when quiet and "
        f"{_size(needs.peak_bytes)} at its peaks, 15 % more included, and never more than "
        f"{_size(needs.highest_bytes)}{capped}"
    )


def _commands(advice: Advice) -> Iterator[tuple[str, str]]:
    from barostat.simulator.forecast.report import change_command  # noqa: PLC0415

    if advice.running:
        yield "while it runs", shlex.join(change_command(advice, advice.running))
    if advice.off:
        yield "while it is off", shlex.join(change_command(advice, advice.off))


def _size(size: float) -> str:
    return format_size(int(size))


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g} %"
