"""How many VMs like a host's own still fit: by a rule on the host's sum, checked by a replay.

The rule is the larger of two predictors of the SUM of what the VMs hold at the same time: its mean
and three standard deviations over 24 hours, and its highest peak and a tenth (Take it to the Limit,
EuroSys 2021). Peaks of VMs are never added up: they are not at the same time. VMs that come are
drawn by chance from those that are here, and bring their whole history with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.simulator.forecast.recorded import Recorded
from barostat.simulator.forecast.replay import CHECKED_DRAWS, Check, check, unchecked
from barostat.simulator.trace import Floats, Integers, Switches

__all__ = ["DRAWS", "MOST_MORE", "Fit", "Need", "fit_of", "need_of", "needed_bytes"]

DEVIATIONS: Final = 3.0
PEAK_RATIO: Final = 1.1
DRAWS: Final = 200
CAUTIOUS_RATIO: Final = 0.05
"""What is said to fit fits in 95 of 100 draws."""

MOST_MORE: Final = 500
"""Who has room for more has no question of capacity."""

AT_ONCE: Final = 16
"""VMs that are added before it is looked again whether they fit."""

SEED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the rule says that the VMs of a host need together.

    Attributes:
        mean_bytes, deviation_bytes: of their sum in the last 24 hours.
        peak_bytes, peak_at_s: the highest that it was in the period, and when.
        bytes: the larger of both predictors.
    """

    mean_bytes: float
    deviation_bytes: float
    peak_bytes: float
    peak_at_s: float
    bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How many more VMs fit.

    Attributes:
        vms: how many are here.
        need: what these need.
        more: how many more fit, by all that is known.
        by_rule, by_rule_median: how many fit in 95 of 100 draws by the rule, and in half of them.
        draws: how many there were.
        check: what the replay came to; None if there was none.
        unchecked: why there was none.
        slo_ratio: the share of minutes in which a VM may lack memory.
    """

    vms: int
    need: Need
    more: int
    by_rule: int
    by_rule_median: int
    draws: int
    check: Check | None
    unchecked: str
    slo_ratio: float


def needed_bytes(total: Floats, recent: Switches) -> Floats:
    """Give what the rule asks for.

    Args:
        total: what VMs held together, shape [row] or [row, case].
        recent: which rows are of the last 24 hours.

    Returns:
        Bytes, shape [] or [case].
    """
    last = total[recent]
    usual = last.mean(axis=0) + DEVIATIONS * last.std(axis=0)
    needed: Floats = np.maximum(usual, total.max(axis=0) * PEAK_RATIO)
    return needed


def need_of(recorded: Recorded) -> Need:
    """Say what the VMs that are here need together, and of what that is made."""
    total = np.nansum(recorded.held_bytes[:, recorded.here], axis=1)
    last, peak = total[recorded.recent], int(np.argmax(total))
    return Need(
        mean_bytes=float(last.mean()),
        deviation_bytes=float(last.std()),
        peak_bytes=float(total[peak]),
        peak_at_s=float(recorded.times_s[peak]),
        bytes=float(needed_bytes(total, recorded.recent)),
    )


def fit_of(
    recorded: Recorded,
    *,
    slo_ratio: float,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Fit:
    """Say how many VMs like those of a host still fit on it.

    Args:
        recorded: the host's history; somebody ran in its last 24 hours.
        slo_ratio: the share of minutes in which a VM may lack memory.
        draws: how often VMs that come are drawn.
        seed: of the chance by which they are.
    """
    here = recorded.here
    drawn = np.random.default_rng(seed).choice(here, size=(draws, MOST_MORE))
    fitting = _fitting(recorded, drawn)
    by_rule = int(np.quantile(fitting, CAUTIOUS_RATIO, method="lower"))
    need, why = need_of(recorded), unchecked(recorded)
    if not why and need.bytes > recorded.capacity_bytes:
        why = "the VMs that are here are too many by the rule"
    found = None
    if not why:
        found = check(
            recorded,
            drawn[:CHECKED_DRAWS],
            most=by_rule,
            slo_ratio=slo_ratio,
        )
    return Fit(
        vms=len(here),
        need=need,
        more=by_rule if found is None else found.more,
        by_rule=by_rule,
        by_rule_median=int(np.median(fitting)),
        draws=draws,
        check=found,
        unchecked=why,
        slo_ratio=slo_ratio,
    )


def _fitting(recorded: Recorded, drawn: Integers) -> Integers:
    """Say how many VMs fit in each draw, one after the other; shape [draw]."""
    held = np.nan_to_num(recorded.held_bytes)
    base = held[:, recorded.here].sum(axis=1)
    recent, capacity = recorded.recent, recorded.capacity_bytes
    if needed_bytes(base, recent) > capacity:
        return np.zeros(len(drawn), dtype=np.int64)
    return np.array([_fitting_one(base, held, row, recent, capacity) for row in drawn])


def _fitting_one(
    base: Floats, held: Floats, drawn: Integers, recent: Switches, capacity: float
) -> int:
    """Add VMs in the order in which they were drawn, until they do not fit."""
    for first in range(0, len(drawn), AT_ONCE):
        more = held[:, drawn[first : first + AT_ONCE]].cumsum(axis=1)
        totals = base[:, None] + more
        over = needed_bytes(totals, recent) > capacity
        if over.any():
            return first + int(np.argmax(over))
        base = totals[:, -1]
    return len(drawn)
