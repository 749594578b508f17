"""A forecast, put together: the host as it is, and hosts that are supposed, side by side.

This is what `barostat forecast --output json` prints; its keys are in docs/howto/forecast.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from barostat.simulator.forecast.fit import Fit, fit_of
from barostat.simulator.forecast.growth import Growth, growth_of
from barostat.simulator.forecast.recorded import Recorded
from barostat.simulator.forecast.sizes import Advice, advice_of
from barostat.simulator.forecast.what_if import apply_changes, read_what_if

__all__ = ["Forecast", "HostForecast", "change_command", "document_of", "forecast_of"]

OPTIONS: Final = {
    "minimum_bytes": "--minimum",
    "startup_bytes": "--startup",
    "maximum_bytes": "--maximum",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostForecast:
    """What is to be expected of one host. `what_if` is blank for the one that is."""

    what_if: str
    capacity_bytes: float
    fit: Fit
    growth: Growth


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All answers.

    Attributes:
        since_s, until_s, step_s, rows: what was looked at.
        hosts: the host as it is, and those that were supposed.
        advice: sizes that should be others.
        unsettled: why none can be judged; blank if they can.
    """

    since_s: float
    until_s: float
    step_s: float
    rows: int
    hosts: tuple[HostForecast, ...]
    advice: tuple[Advice, ...]
    unsettled: str


def forecast_of(
    recorded: Recorded,
    *,
    slo_ratio: float,
    what_ifs: Sequence[str] = (),
) -> Forecast:
    """Answer everything; what is supposed is checked before anything is computed.

    Raises:
        InputError: something that is supposed cannot be.
    """
    supposed = {text: apply_changes(recorded, read_what_if(text)) for text in what_ifs}
    hosts = {"": recorded, **supposed}
    return Forecast(
        since_s=float(recorded.times_s[0]),
        until_s=recorded.end_s,
        step_s=recorded.step_s,
        rows=len(recorded.times_s),
        hosts=tuple(
            HostForecast(
                what_if=text,
                capacity_bytes=host.capacity_bytes,
                fit=fit_of(host, slo_ratio=slo_ratio),
                growth=growth_of(host),
            )
            for text, host in hosts.items()
        ),
        advice=advice_of(recorded),
        unsettled=recorded.unsettled,
    )


def change_command(advice: Advice, names: Sequence[str]) -> tuple[str, ...]:
    """Give the words of the command that makes some of the changes."""
    words = ["barostat", "set", advice.vm]
    for name in names:
        size_bytes: int = getattr(advice.better, name)
        words += [OPTIONS[name], _size(size_bytes)]
    return tuple(words)


def _size(size_bytes: int) -> str:
    """Write a size so that it is read to the byte."""
    mib, rest = divmod(size_bytes, 2**20)
    return f"{size_bytes}B" if rest else f"{mib}MiB"


def document_of(forecast: Forecast) -> dict[str, Any]:
    """Make plain values: sizes in whole bytes, times in seconds; null for what is not known."""
    return {
        "since_s": forecast.since_s,
        "until_s": forecast.until_s,
        "step_s": forecast.step_s,
        "samples": forecast.rows,
        "hosts": [_host(host) for host in forecast.hosts],
        "settings": {
            "not_known_because": forecast.unsettled or None,
            "advice": [_advice(advice) for advice in forecast.advice],
        },
    }


def _host(host: HostForecast) -> dict[str, Any]:
    fit, growth = host.fit, host.growth
    line = growth.line
    return {
        "what_if": host.what_if or None,
        "capacity_bytes": int(host.capacity_bytes),
        "vms": fit.vms,
        "fit": {
            "more_vms": fit.more,
            "slo_ratio": fit.slo_ratio,
            "by_rule": fit.by_rule,
            "by_rule_median": fit.by_rule_median,
            "draws": fit.draws,
            "need_bytes": int(fit.need.bytes),
            "mean_bytes": int(fit.need.mean_bytes),
            "deviation_bytes": int(fit.need.deviation_bytes),
            "peak_bytes": int(fit.need.peak_bytes),
            "peak_at_s": fit.need.peak_at_s,
            "check": None if fit.check is None else asdict(fit.check),
            "not_checked_because": fit.unchecked or None,
        },
        "growth": {
            "verdict": growth.verdict.value,
            "days": growth.days,
            "few_days": growth.few_days,
            "peak_bytes": _whole(growth.peak_bytes),
            "level_bytes": _whole(growth.level_bytes),
            "per_day_bytes": _whole(line.slope if line else None),
            "per_day_low_bytes": _whole(line.low if line else None),
            "per_day_high_bytes": _whole(line.high if line else None),
            "full_in_days": growth.full_in_days,
            "earliest_days": growth.earliest_days,
            "latest_days": growth.latest_days,
        },
    }


def _whole(size: float | None) -> int | None:
    return None if size is None else int(size)


def _advice(advice: Advice) -> dict[str, Any]:
    needs = advice.needs
    return {
        "vm": advice.vm,
        "now": {name: getattr(advice.now, name) for name in OPTIONS},
        "better": {name: getattr(advice.better, name) for name in OPTIONS},
        "days": needs.days,
        "quiet_bytes": int(needs.quiet_bytes),
        "peak_bytes": int(needs.peak_bytes),
        "highest_bytes": int(needs.highest_bytes),
        "devices_allow_no_more": advice.capped,
        "while_running": list(change_command(advice, advice.running)) if advice.running else None,
        "while_off": list(change_command(advice, advice.off)) if advice.off else None,
    }
