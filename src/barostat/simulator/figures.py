"""The figures by which policies are compared, of the sums of their runs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from barostat.simulator.bound import Bound
from barostat.simulator.totals import Totals
from barostat.simulator.unevenness import highest
from barostat.units import GIB

__all__ = ["Figures", "bound_figures", "figures_of"]

DAY_S: Final = 86_400.0
MINUTES_A_DAY: Final = 1440.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One policy over all hosts. None where a figure means nothing, or is not known.

    Attributes:
        unmet_demand_gib_s: what guests needed and did not have, GiB times seconds. What the host
            pages counts twice.
        unmet_demand_ratio: that as a share of what they needed.
        shortage_time_ratio: the share of the guests' time in which they were short.
        swap_in_gib: what their kernels read back from swap.
        host_paged_gib_s: what the host paged of them.
        pressure_dispersion_mean, pressure_dispersion_p99: how unlike the guests of a host were in
            what they needed of what they had, while it was scarce (standard deviation).
        jain_index: how alike they were in what they had of what they wanted, then; 1 is all alike.
        slo_violation_ratio: the share of the guests' minutes that their users would have noticed.
        slo_minutes_per_vm_day: the same as minutes a day.
        churn_gib_per_vm_day: memory moved.
        moves_per_vm_day, reversals_per_vm_day: sizes asked for, and those asked for against the
            last one within ten minutes.
        waste_ratio: what guests had and did not need, as a share of what they needed.
        step_p50_s, step_p99_s: how long a rise of demand waited until it was satisfied.
        steps_never_satisfied: how many never were.
        capture_ratio: what the policy saved of what could be saved: 0 is fixed sizes, 1 the
            clairvoyant.
        breaches, breach_s, breach_most_gib: how often, how long, and by how much at most more was
            handed out than there is.
    """

    unmet_demand_gib_s: float
    unmet_demand_ratio: float
    shortage_time_ratio: float
    swap_in_gib: float | None
    host_paged_gib_s: float | None
    pressure_dispersion_mean: float | None
    pressure_dispersion_p99: float | None
    jain_index: float | None
    slo_violation_ratio: float | None
    slo_minutes_per_vm_day: float | None
    churn_gib_per_vm_day: float | None
    moves_per_vm_day: float | None
    reversals_per_vm_day: float | None
    waste_ratio: float | None
    step_p50_s: float | None
    step_p99_s: float | None
    steps_never_satisfied: int | None
    capture_ratio: float | None
    breaches: int
    breach_s: float
    breach_most_gib: float

    def as_json(self) -> dict[str, float | int | None]:
        """Give them by name."""
        return asdict(self)


def figures_of(
    totals: Totals, *, static: Totals | None = None, bound: Bound | None = None
) -> Figures:
    """Work out the figures of a run.

    Args:
        totals: its sums.
        static: those of fixed sizes on the same hosts.
        bound: what nobody could avoid there.
    """
    sums = {name: float(held.sum()) for name, held in totals.guests.items()}
    on_s, needed = max(sums["on_s"], 1.0), max(sums["demand_byte_s"], 1.0)
    days, scarce_s = on_s / DAY_S, float(totals.scarce_s.sum())
    scarce = scarce_s > 0
    bad_ratio = sums["bad_s"] / on_s
    return Figures(
        unmet_demand_gib_s=sums["unmet_byte_s"] / GIB,
        unmet_demand_ratio=sums["unmet_byte_s"] / needed,
        shortage_time_ratio=sums["short_s"] / on_s,
        swap_in_gib=sums["swap_in_bytes"] / GIB,
        host_paged_gib_s=sums["host_paged_byte_s"] / GIB,
        pressure_dispersion_mean=float(totals.dispersion_s.sum()) / scarce_s if scarce else None,
        pressure_dispersion_p99=highest(totals.histogram_s, 0.99) if scarce else None,
        jain_index=float(totals.jain_s.sum()) / scarce_s if scarce else None,
        slo_violation_ratio=bad_ratio,
        slo_minutes_per_vm_day=bad_ratio * MINUTES_A_DAY,
        churn_gib_per_vm_day=sums["churn_bytes"] / GIB / days,
        moves_per_vm_day=sums["moves"] / days,
        reversals_per_vm_day=sums["reversals"] / days,
        waste_ratio=sums["waste_byte_s"] / needed,
        step_p50_s=_wait(totals, 0.50),
        step_p99_s=_wait(totals, 0.99),
        steps_never_satisfied=int(totals.never.sum()),
        capture_ratio=_capture(totals, static, bound),
        breaches=int(totals.per_host["breaches"].sum()),
        breach_s=float(totals.per_host["breach_s"].sum()),
        breach_most_gib=float(totals.per_host["breach_most_bytes"].max(initial=0.0)) / GIB,
    )


def bound_figures(bound: Bound) -> Figures:
    """Give the clairvoyant's figures, of which only few are known."""
    on_s = max(float(bound.on_s.sum()), 1.0)
    values: dict[str, float | int | None] = dict.fromkeys(Figures.__dataclass_fields__)
    values |= {
        "unmet_demand_gib_s": float(bound.unmet_byte_s.sum()) / GIB,
        "unmet_demand_ratio": float(bound.unmet_byte_s.sum() / max(bound.demand_byte_s.sum(), 1.0)),
        "shortage_time_ratio": float(bound.short_s.sum()) / on_s,
        "capture_ratio": 1.0,
        "breaches": 0,
        "breach_s": 0.0,
        "breach_most_gib": 0.0,
    }
    return Figures(**values)  # type: ignore[arg-type]


def _wait(totals: Totals, ratio: float) -> float | None:
    """Give what a share of all rises waited at most; None if more than the rest never ended."""
    waits = np.sort(totals.waits_s)
    rises = len(waits) + int(totals.never.sum())
    place = math.ceil(rises * ratio) - 1
    return float(waits[place]) if 0 <= place < len(waits) else None


def _capture(totals: Totals, static: Totals | None, bound: Bound | None) -> float | None:
    """(static - policy) / (static - clairvoyant), of unmet demand."""
    if static is None or bound is None:
        return None
    fixed, least = static.guests["unmet_byte_s"].sum(), bound.unmet_byte_s.sum()
    if fixed <= least:
        return None
    return float((fixed - totals.guests["unmet_byte_s"].sum()) / (fixed - least))
