"""A forecast in sentences and a table, for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.table import Table

from barostat.cli.tables import plain_table
from barostat.cli.times import format_moment
from barostat.simulator.forecast.fit import Fit
from barostat.simulator.forecast.growth import LEAST_DAYS, Growth, Verdict
from barostat.simulator.forecast.recorded import DAY_S
from barostat.simulator.forecast.report import Forecast, HostForecast, change_command
from barostat.simulator.forecast.sizes import Advice
from barostat.units import format_delta, format_size

__all__ = ["facts_of", "side_by_side"]


def side_by_side(hosts: tuple[HostForecast, ...]) -> Table:
    """Set the host as it is beside those that are supposed."""
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


def facts_of(found: Forecast) -> Iterator[tuple[str, str]]:
    """Say every answer with its evidence, each with what it is about."""
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
    anyway = ""
    if check.anyway_ratio is not None:
        anyway = f", and in {_percent(check.anyway_ratio)} on hosts with memory for all"
    return (
        f"by playing the busiest day of the last week ({format_moment(check.day_s)}, {check.rows} "
        f"samples) with Barostat on {check.draws} hosts with {check.more} more: VMs lacked memory "
        f"in {_percent(check.lacking_ratio)} of their minutes{anyway}{few}"
    )


def _when(growth: Growth) -> str:
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
    if advice.running:
        yield "while it runs", shlex.join(change_command(advice, advice.running))
    if advice.off:
        yield "while it is off", shlex.join(change_command(advice, advice.off))


def _size(size: float) -> str:
    return format_size(int(size))


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g} %"
