"""When a host is full, if it goes on as it does: a robust line through its days' peaks.

The slope is the median of those between all pairs of days (Theil 1950, Sen 1968), so that a quarter
of the days may be odd ones. Its interval is Sen's, from the variance of Kendall's tau.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.simulator.forecast.recorded import Recorded, days_of
from barostat.simulator.trace import Floats

__all__ = ["LEAST_DAYS", "Growth", "Line", "Verdict", "daily_peaks", "growth_of", "theil_sen"]

LEAST_DAYS: Final = 3
FEW_DAYS: Final = 5
"""With fewer days, even if all rise, chance alone would do so in one case of twenty."""

NORMAL_95: Final = 1.959964
"""The quantile of the normal distribution for 95 %, both sides."""

LONGEST_DAYS: Final = 1825.0
"""Nobody plans further than five years from a line."""


class Verdict(enum.Enum):
    """What the peaks say."""

    TOO_LITTLE = "too_little_history"
    NOT_GROWING = "not_growing"
    GROWING = "growing"
    FULL = "full_already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A trend: so much a day, between `low` and `high` in 95 of 100 cases."""

    slope: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What is to be expected. None where it is not known, or not within five years.

    Attributes:
        verdict: in a word.
        days: how many days' peaks there are.
        few_days: so few that the interval says little.
        peak_bytes: the last day's peak.
        line: by how much the peaks grow, bytes a day.
        level_bytes: what the line says of the last day.
        full_in_days: when the line is at the capacity.
        earliest_days, latest_days: by the ends of the slope's interval.
    """

    verdict: Verdict
    days: int
    few_days: bool = False
    peak_bytes: float | None = None
    line: Line | None = None
    level_bytes: float | None = None
    full_in_days: float | None = None
    earliest_days: float | None = None
    latest_days: float | None = None


def daily_peaks(recorded: Recorded) -> tuple[Floats, Floats]:
    """Give the most that all VMs held together on each day.

    Returns:
        Days, 0 the last one and -1 the one before it; and their peaks in bytes.
    """
    total = np.nansum(recorded.held_bytes, axis=1)
    days = days_of(recorded)
    at = np.array([-ago for ago, _ in days])
    return at, np.array([total[rows].max() for _, rows in days])


def theil_sen(x: Floats, y: Floats) -> Line:
    """Fit a slope to at least two points, of which no two are at the same place.

    With fewer than five points the interval is from the least slope of two points to the largest.
    """
    first, second = np.triu_indices(len(x), k=1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    count, pairs = len(x), len(slopes)
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    below = math.floor((pairs - NORMAL_95 * deviation) / 2)
    low = max(0, below - 1) if count >= FEW_DAYS else 0
    return Line(
        slope=float(np.median(slopes)),
        low=float(slopes[low]),
        high=float(slopes[pairs - 1 - low]),
    )


def growth_of(recorded: Recorded) -> Growth:
    """Say when the host is full if its daily peaks go on as they do."""
    days, peaks = daily_peaks(recorded)
    count = len(days)
    if count < LEAST_DAYS:
        last = float(peaks[-1]) if count else None
        return Growth(verdict=Verdict.TOO_LITTLE, days=count, few_days=True, peak_bytes=last)
    line, capacity = theil_sen(days, peaks), recorded.capacity_bytes
    level = float(np.median(peaks - line.slope * days))
    full = level >= capacity
    growing = line.low > 0 and not full
    ends = (line.slope, line.high, line.low) if growing else ()
    times = [_full_in_days(days, peaks, slope, capacity) for slope in ends] or [None] * 3
    return Growth(
        verdict=Verdict.FULL if full else Verdict.GROWING if growing else Verdict.NOT_GROWING,
        days=count,
        few_days=count < FEW_DAYS,
        peak_bytes=float(peaks[-1]),
        line=line,
        level_bytes=level,
        full_in_days=times[0],
        earliest_days=times[1],
        latest_days=times[2],
    )


def _full_in_days(days: Floats, peaks: Floats, slope: float, capacity: float) -> float | None:
    """Say when a line of a slope, through the middle of the peaks, is at the capacity."""
    level = float(np.median(peaks - slope * days))
    left = max(0.0, (capacity - level) / slope)
    return left if left <= LONGEST_DAYS else None
