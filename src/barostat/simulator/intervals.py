"""The figures of each host apart, and how far those of all could be off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.simulator.bootstrap import RESAMPLES, Interval, ratio_interval
from barostat.simulator.bound import Bound
from barostat.simulator.totals import Totals
from barostat.simulator.trace import Floats
from barostat.units import GIB

__all__ = ["intervals_of", "per_host_of"]

DAY_S: Final = 86_400.0
MINUTES_A_DAY: Final = 1440.0


@dataclass(frozen=True, slots=True)
class _Quotient:
    """A figure that is a quotient of two sums over a host's guests, times a unit."""

    over: str
    under: str
    unit: float = 1.0


_QUOTIENTS: Final = {
    "unmet_demand_ratio": _Quotient("unmet_byte_s", "demand_byte_s"),
    "shortage_time_ratio": _Quotient("short_s", "on_s"),
    "pressure_dispersion_mean": _Quotient("dispersion_s", "scarce_s"),
    "jain_index": _Quotient("jain_s", "scarce_s"),
    "slo_violation_ratio": _Quotient("bad_s", "on_s"),
    "slo_minutes_per_vm_day": _Quotient("bad_s", "on_s", MINUTES_A_DAY),
    "churn_gib_per_vm_day": _Quotient("churn_bytes", "on_s", DAY_S / GIB),
    "moves_per_vm_day": _Quotient("moves", "on_s", DAY_S),
    "reversals_per_vm_day": _Quotient("reversals", "on_s", DAY_S),
    "waste_ratio": _Quotient("waste_byte_s", "demand_byte_s"),
}
_CAPTURE: Final = "capture_ratio"


def per_host_of(
    totals: Totals, *, static: Totals | None = None, bound: Bound | None = None
) -> dict[str, Floats]:
    """Work out figures for each host, by the names of `Figures`, shape [host] each.

    NaN where one means nothing: a host on which nobody was on, or memory was never scarce.
    """
    pairs = _pairs(totals, static, bound)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: np.where(under > 0, over / under, np.nan) for name, (over, under) in pairs}


def intervals_of(
    totals: Totals,
    *,
    static: Totals | None = None,
    bound: Bound | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Give figures with their intervals, by the names of `Figures`; without those of no meaning."""
    return {
        name: ratio_interval(over, under, resamples=resamples, seed=seed)
        for name, (over, under) in _pairs(totals, static, bound)
        if under.sum() > 0
    }


def _pairs(
    totals: Totals, static: Totals | None, bound: Bound | None
) -> list[tuple[str, tuple[Floats, Floats]]]:
    """Give what is divided by what in each figure, a host each."""
    sums = totals.guests | {
        "scarce_s": totals.scarce_s,
        "dispersion_s": totals.dispersion_s,
        "jain_s": totals.jain_s,
    }
    pairs = [
        (name, (sums[which.over] * which.unit, sums[which.under]))
        for name, which in _QUOTIENTS.items()
    ]
    if static is not None and bound is not None:
        fixed = static.guests["unmet_byte_s"]
        saved = fixed - totals.guests["unmet_byte_s"]
        pairs.append((_CAPTURE, (saved, fixed - bound.unmet_byte_s)))
    return pairs
