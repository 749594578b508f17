"""When a host is full: days, their peaks, and the line through them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.pasts import DAY_ROWS, past

from barostat.simulator.forecast.growth import Verdict, daily_peaks, growth_of, theil_sen
from barostat.simulator.forecast.recorded import days_of
from barostat.units import MIB


def days_with(*peaks_mib: float) -> list[float]:
    """Days of 100 MiB with one hour of a peak each."""
    return [peak if hour == 12 else 100.0 for peak in peaks_mib for hour in range(DAY_ROWS)]


def test_days_are_counted_back_from_the_end_and_half_recorded_ones_are_left_out() -> None:
    recorded = past({"web": [5000.0] * 10 + days_with(300, 200)})

    days, peaks = daily_peaks(recorded)

    assert days.tolist() == [-1, 0]
    assert (peaks / MIB).tolist() == [300, 200]
    assert [len(rows) for _, rows in days_of(recorded)] == [24, 24]


def test_the_peak_of_a_day_is_of_the_sum_and_not_the_sum_of_peaks() -> None:
    web = [1000.0 if hour == 3 else 100.0 for hour in range(24)]
    db = [2000.0 if hour == 4 else 100.0 for hour in range(24)]

    _, peaks = daily_peaks(past({"web": web, "db": db}))

    assert (peaks / MIB).tolist() == [2100]


def test_a_slope_is_the_median_of_those_of_all_pairs() -> None:
    line = theil_sen(np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 2, 30]))

    assert line.slope == pytest.approx((1 + 10) / 2)  # of 1, 1, 1, 10, 14.5, 28
    assert (line.low, line.high) == (1, 28)


def test_an_interval_is_as_sen_has_it() -> None:
    # Ten points: 45 slopes, of which Sen's interval leaves out the 11 least and the 11 largest.
    x = np.arange(10.0)
    y = x + np.array([0, 0.3, -0.2, 0.4, -0.1, 0.2, -0.4, 0.1, 0, -0.3])
    slopes = sorted((y[j] - y[i]) / (x[j] - x[i]) for i in range(10) for j in range(i + 1, 10))

    line = theil_sen(x, y)

    assert 1.96 * math.sqrt(10 * 9 * 25 / 18) == pytest.approx(21.9, abs=0.1)
    assert line.low == pytest.approx(slopes[10])
    assert line.high == pytest.approx(slopes[-11])


def test_a_host_that_grows_is_full_when_its_line_is_at_the_capacity() -> None:
    peaks = [1000 + 100 * day for day in range(10)]  # 1900 MiB on the last day

    found = growth_of(past({"web": days_with(*peaks)}, capacity_gib=2900 / 1024))

    assert found.verdict is Verdict.GROWING
    assert found.line is not None
    assert found.line.slope == pytest.approx(100 * MIB)
    assert found.full_in_days == pytest.approx(10)
    assert found.earliest_days == found.latest_days == pytest.approx(10)
    assert not found.few_days


def test_one_odd_day_does_not_move_the_line() -> None:
    peaks = [1000 + 100 * day for day in range(10)]
    peaks[4] = 4000

    found = growth_of(past({"web": days_with(*peaks)}, capacity_gib=2900 / 1024))

    assert found.full_in_days == pytest.approx(10, abs=1)


def test_a_host_whose_days_differ_by_chance_is_not_growing() -> None:
    found = growth_of(past({"web": days_with(500, 520, 490, 510, 505, 515, 495)}))

    assert found.verdict is Verdict.NOT_GROWING
    assert found.full_in_days is None


def test_a_host_that_shrinks_is_not_growing() -> None:
    assert growth_of(past({"web": days_with(900, 800, 700, 600)})).verdict is Verdict.NOT_GROWING


@pytest.mark.parametrize("days", [0, 1, 2])
def test_less_than_three_days_are_too_little(days: int) -> None:
    found = growth_of(past({"web": [100.0] * 6 + days_with(*[500] * days)}))

    assert found.verdict is Verdict.TOO_LITTLE
    assert found.days == days
    assert found.line is None


def test_three_days_are_a_first_guess() -> None:
    found = growth_of(past({"web": days_with(500, 600, 700)}))

    assert found.verdict is Verdict.GROWING
    assert found.few_days


def test_a_host_that_is_full_already_says_so() -> None:
    found = growth_of(past({"web": days_with(500, 600, 700)}, capacity_gib=0.5))

    assert found.verdict is Verdict.FULL


def test_nobody_is_told_a_date_beyond_five_years() -> None:
    found = growth_of(past({"web": days_with(*(500 + day for day in range(8)))}, capacity_gib=64))

    assert found.verdict is Verdict.GROWING
    assert found.full_in_days is None


@given(
    st.lists(st.floats(0, 1e6), min_size=3, max_size=20),
    st.floats(0.01, 100),
    st.floats(-1000, 1000),
)
def test_a_line_scales_and_tilts_with_what_it_is_laid_through(
    values: list[float], scale: float, tilt: float
) -> None:
    x, y = np.arange(len(values), dtype=np.float64), np.array(values)

    line, other = theil_sen(x, y), theil_sen(x, y * scale + x * tilt)

    assert line.low <= line.slope <= line.high
    assert other.slope == pytest.approx(line.slope * scale + tilt, rel=1e-6, abs=1e-4)
    assert other.low == pytest.approx(line.low * scale + tilt, rel=1e-6, abs=1e-4)
