"""Which VMs' sizes are wrong, by what they needed: weighted percentiles of their days.

A day weighs half of the next (as for memory in Kubernetes' VPA, after Autopilot, EuroSys 2020).
The peak is the 90th percentile of the days' peaks, and 15 % more; the quiet need is the median of
what was exceeded in nine tenths of each day, and 15 % more. A difference is only told of where it
matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from barostat.core.settings import MemorySettings, change_faults, setting_faults
from barostat.simulator.forecast.recorded import Recorded, days_of
from barostat.simulator.trace import Floats, Integers
from barostat.units import MIB

__all__ = ["Advice", "Needs", "advice_of", "advise", "decayed", "needs_of"]

HALF_LIFE_DAYS: Final = 1.0
PEAK_RATIO: Final = 0.9
USUAL_RATIO: Final = 0.5
QUIET_PERCENT: Final = 10.0
MARGIN_RATIO: Final = 0.15

MATTERS_RATIO: Final = 0.10
MATTERS_BYTES: Final = 64 * MIB
GRAIN_BYTES: Final = 64 * MIB
"""Finer sizes than what matters would say more than is known."""

LOWERING_DAYS: Final = 7
"""A week may hold a day on which all is different: less than that takes nothing from a VM."""

SIZES: Final = ("minimum_bytes", "startup_bytes", "maximum_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a VM needed.

    Attributes:
        days: on how many days it was seen.
        quiet_bytes: what it needs when it does little: the decayed median of its days' tenth
            percentiles, with the margin.
        peak_bytes: the decayed 90th percentile of its days' peaks, with the margin.
        highest_bytes: the most that it ever needed in the period, without a margin.
    """

    days: int
    quiet_bytes: float
    peak_bytes: float
    highest_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Better sizes for a VM.

    Attributes:
        vm: its name.
        now, better: its settings.
        needs: why.
        running: what of it may be done while the VM runs, by the names of the sizes.
        off: what of it takes a VM that is off.
        capped: its devices allow no more than what is said, though it needs more.
    """

    vm: str
    now: MemorySettings
    better: MemorySettings
    needs: Needs
    running: tuple[str, ...]
    off: tuple[str, ...]
    capped: bool


def decayed(values: Floats, ago_days: Floats, ratio: float) -> float:
    """Give the value that a share of the weight does not exceed; a day ago weighs half."""
    order = np.argsort(values, kind="stable")
    weights = 0.5 ** (ago_days[order] / HALF_LIFE_DAYS)
    reached = np.cumsum(weights) >= ratio * weights.sum() * (1 - 1e-12)
    return float(values[order][int(np.argmax(reached))])


def needs_of(demand: Floats, days: list[tuple[float, Integers]]) -> Needs | None:
    """Sum up what one VM needed.

    Args:
        demand: what it said, shape [row]; NaN where it said nothing.
        days: as `days_of` gives them.

    Returns:
        Nothing if it was not seen on any whole day.
    """
    seen = [(ago, demand[rows][~np.isnan(demand[rows])]) for ago, rows in days]
    seen = [(ago, needed) for ago, needed in seen if len(needed)]
    if not seen:
        return None
    ago = np.array([item for item, _ in seen])
    peaks = np.array([needed.max() for _, needed in seen])
    quiet = np.array([np.percentile(needed, QUIET_PERCENT) for _, needed in seen])
    return Needs(
        days=len(seen),
        quiet_bytes=decayed(quiet, ago, USUAL_RATIO) * (1 + MARGIN_RATIO),
        peak_bytes=decayed(peaks, ago, PEAK_RATIO) * (1 + MARGIN_RATIO),
        highest_bytes=float(peaks.max()),
    )


def advise(
    vm: str, now: MemorySettings, needs: Needs, *, devices_bytes: int | None = None
) -> Advice | None:
    """Say what sizes a VM should have; nothing if those that it has will do.

    The maximum is what its peaks take, never less than it ever needed. A minimum above its quiet
    need is memory that nobody else can have; one below costs nothing until memory is short, and is
    left. The startup lies between its quiet need and its peak.
    """
    wanted = _grain(max(needs.peak_bytes, needs.highest_bytes))
    capped = devices_bytes is not None and wanted > devices_bytes
    peak = min(wanted, devices_bytes) if devices_bytes is not None else wanted
    quiet = min(_grain(needs.quiet_bytes), peak)
    lowering = needs.days >= LOWERING_DAYS
    maximum = _moved(now.maximum_bytes, peak, peak, lowering=lowering)
    minimum = _moved(now.minimum_bytes, 0, quiet, lowering=lowering)
    startup = _moved(now.startup_bytes, quiet, peak, lowering=lowering)
    startup = max(min(startup, maximum), minimum)
    better = replace(now, minimum_bytes=minimum, startup_bytes=startup, maximum_bytes=maximum)
    changed = [name for name in SIZES if getattr(better, name) != getattr(now, name)]
    if not changed or setting_faults(better, devices_bytes=devices_bytes):
        return None
    single = {name: replace(now, **{name: getattr(better, name)}) for name in changed}
    running = tuple(name for name in changed if not change_faults(now, single[name]))
    return Advice(
        vm=vm,
        now=now,
        better=better,
        needs=needs,
        running=running,
        off=tuple(name for name in changed if name not in running),
        capped=capped,
    )


def _moved(now: int, low: int, high: int, *, lowering: bool) -> int:
    """Bring a size between two others, if it matters and may be done."""
    better = min(max(now, low), high)
    if better < now and not lowering:
        return now
    difference = abs(better - now)
    matters = difference > MATTERS_BYTES and difference > MATTERS_RATIO * now
    return better if matters else now


def _grain(size: float) -> int:
    return math.ceil(size / GRAIN_BYTES) * GRAIN_BYTES


def advice_of(recorded: Recorded) -> tuple[Advice, ...]:
    """Say which VMs of a host should have other sizes; those that are moved, and were seen."""
    days, bounds, found = days_of(recorded), recorded.bounds, []
    demand = np.where(recorded.said, recorded.demand_bytes, np.nan)
    for place in recorded.here.tolist():
        vm = recorded.vms[place]
        now, needs = recorded.settings.get(vm), needs_of(demand[:, place], days)
        if now is None or needs is None or not bounds.moves[place]:
            continue
        advice = advise(vm, now, needs, devices_bytes=recorded.devices_bytes.get(vm))
        if advice is not None:
            found.append(advice)
    return tuple(found)
