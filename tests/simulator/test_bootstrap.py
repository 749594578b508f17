"""Intervals by drawing hosts anew."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.simulator.worlds import trace_of

from barostat.simulator.bootstrap import mean_interval, ratio_interval
from barostat.simulator.hosts import draw, lay_out
from barostat.simulator.intervals import intervals_of, per_host_of
from barostat.simulator.sweep import Comparison, simulate


@pytest.fixture(scope="module")
def compared() -> Comparison:
    chance = np.random.default_rng(5)
    trace = trace_of(*(tuple(row) for row in chance.uniform(50, 3000, (4, 8))))
    hosts = lay_out(trace, draw(trace, hosts=6, guests=4, seed=2), capacity_ratio=0.5)
    return simulate(trace, hosts, ["static", "barostat"], workers=1)


def test_values_that_are_all_alike_leave_nothing_to_chance() -> None:
    interval = mean_interval(np.full(30, 7.0))

    assert (interval.value, interval.low, interval.high) == (7.0, 7.0, 7.0)


def test_the_interval_of_a_mean_is_that_of_the_normal_law_for_many_values() -> None:
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    interval = mean_interval(values, seed=3)
    half = 1.96 * values.std() / 20

    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).exponential(1.0, 20)

    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).uniform(0, 2, 30)
        interval = mean_interval(values, resamples=500, seed=seed)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 1.0 <= interval.high

    assert 180 <= held <= 199


def test_a_quotient_is_drawn_in_pairs() -> None:
    under = np.random.default_rng(1).uniform(1, 100, 20)
    interval = ratio_interval(under * 3, under)

    assert interval.low == pytest.approx(3)
    assert interval.high == pytest.approx(3)


def test_one_host_says_nothing_of_others() -> None:
    interval = mean_interval(np.array([4.0]))

    assert (interval.value, interval.low, interval.high) == (4.0, None, None)


def test_draws_that_have_none_of_it_are_left_out() -> None:
    interval = ratio_interval(np.array([1.0, 0.0]), np.array([2.0, 0.0]))

    assert (interval.low, interval.high) == (0.5, 0.5)


def test_intervals_are_around_the_figures(compared: Comparison) -> None:
    static, own = (result.totals for result in compared.results)
    figures = compared.results[1].figures.as_json()
    intervals = intervals_of(own, static=static, bound=compared.bound, resamples=500)

    assert {"capture_ratio", "unmet_demand_ratio", "slo_minutes_per_vm_day"} <= set(intervals)
    for name, interval in intervals.items():
        assert interval.value == pytest.approx(figures[name]), name
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.value <= interval.high, name


def test_figures_of_one_host_are_those_of_its_own_run(compared: Comparison) -> None:
    trace, static = compared.trace, compared.results[0]
    alone = lay_out(trace, compared.hosts.vm[2:3], capacity_ratio=0.5)
    figures = simulate(trace, alone, ["static"], workers=1).results[0].figures.as_json()

    for name, values in per_host_of(static.totals).items():
        assert values.shape == (6,)
        expected = figures[name]
        assert values[2] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


def test_what_was_never_scarce_has_no_interval(compared: Comparison) -> None:
    never = dataclasses.replace(compared.results[0].totals, scarce_s=np.zeros(6))

    assert "jain_index" not in intervals_of(never, resamples=10)
    assert np.isnan(per_host_of(never)["jain_index"]).all()
