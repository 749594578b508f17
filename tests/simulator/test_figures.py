"""Sums and figures, worked out by hand for traces that are small enough."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import hosts_of, trace_of

from barostat.simulator.bound import lower_bound
from barostat.simulator.figures import bound_figures
from barostat.simulator.hosts import draw, lay_out
from barostat.simulator.sweep import simulate
from barostat.units import GIB, MIB

ROWS = [(500.0, 500.0)] * 2 + [(3072.0, 500.0)] * 2 + [(500.0, 500.0)]


def test_fixed_sizes_come_to_what_is_worked_out_by_hand() -> None:
    trace = trace_of(*ROWS)
    result = simulate(trace, hosts_of(trace), ["static"], workers=1).results[0]
    figures, missing = result.figures, 1024 * MIB

    assert figures.unmet_demand_gib_s == pytest.approx(600 * missing / GIB)
    assert figures.shortage_time_ratio == pytest.approx(600 / 3000)
    assert figures.slo_violation_ratio == pytest.approx(600 / 3000)
    assert figures.churn_gib_per_vm_day == 0
    assert (figures.step_p50_s, figures.steps_never_satisfied) == (None, 1)
    assert (figures.capture_ratio, figures.breaches) == (0, 0)
    assert result.totals.worst is not None
    assert result.totals.worst.missing_bytes == pytest.approx(missing)


def test_what_memory_moved_and_how_long_a_step_waited_is_taken_down() -> None:
    trace = trace_of(*ROWS)
    compared = simulate(trace, hosts_of(trace), ["barostat"], workers=1, keep_series=True)
    result = compared.results[0]
    figures, series = result.figures, result.totals.series

    assert figures.churn_gib_per_vm_day is not None
    assert figures.churn_gib_per_vm_day > 0
    assert figures.step_p99_s is not None
    assert 0 < figures.step_p99_s < 10
    assert figures.capture_ratio is not None
    assert figures.capture_ratio > 0.95
    assert series is not None
    assert series.demand_bytes[:, 0].tolist() == [sum(row) * MIB for row in ROWS]
    assert set(figures.as_json()) == set(type(figures).__dataclass_fields__)


def test_the_clairvoyant_lacks_only_what_there_is_not() -> None:
    trace = trace_of((4000.0, 4000.0), (100.0, 100.0))
    bound = lower_bound(trace, hosts_of(trace))

    assert bound.unmet_byte_s.tolist() == [pytest.approx((8000 - 4096) * MIB * 300)]
    assert bound_figures(bound).shortage_time_ratio == pytest.approx(300 / 1200)
    more = lower_bound(trace, hosts_of(trace, ratio=0.8)).unmet_byte_s
    assert (more < bound.unmet_byte_s).all()


def test_it_comes_to_the_same_in_one_process_and_in_several() -> None:
    chance = np.random.default_rng(3)
    trace = trace_of(*(tuple(row) for row in chance.uniform(50, 3000, (5, 6))))
    hosts = lay_out(trace, draw(trace, hosts=9, guests=4, seed=1), capacity_ratio=0.6)
    shares: list[float] = []
    one = simulate(trace, hosts, ["barostat", "static"], workers=1, progress=shares.append)
    two = simulate(trace, hosts, ["barostat", "static"], workers=2)

    assert [result.figures for result in one.results] == [result.figures for result in two.results]
    assert shares[-1] == 1.0
