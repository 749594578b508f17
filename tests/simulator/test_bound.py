"""The clairvoyant: what nobody could avoid."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.worlds import hosts_of, trace_of

from barostat.simulator.bound import lower_bound
from barostat.simulator.hosts import Hosts, lay_out
from barostat.simulator.policies.catalogue import NAMES, make_policy
from barostat.simulator.run import run
from barostat.simulator.tally import BREACH_BYTES, Tally
from barostat.simulator.trace import Trace
from barostat.units import GIB, MIB


def test_what_fits_on_the_host_is_all_met() -> None:
    trace = trace_of((2000, 1000), (1000, 2000))
    bound = lower_bound(trace, hosts_of(trace))

    assert bound.unmet_byte_s.tolist() == [0.0]
    assert bound.short_s.tolist() == [0.0]
    assert bound.demand_byte_s.tolist() == [2 * 300 * 3000 * MIB]
    assert bound.on_s.tolist() == [4 * 300.0]


def test_what_all_need_beyond_the_capacity_is_missing_for_as_long_as_that_lasts() -> None:
    trace = trace_of((3000, 2000), (500, 500), (3000, 1596))
    bound = lower_bound(trace, hosts_of(trace))

    assert bound.unmet_byte_s.tolist() == [300 * (5000 - 4096 + 500) * MIB]
    assert bound.short_s.tolist() == [600.0]


def test_what_a_guest_needs_beyond_its_maximum_is_missing_on_any_host() -> None:
    trace = trace_of((5000, 100))
    bound = lower_bound(trace, hosts_of(trace, ratio=2.0))

    assert bound.unmet_byte_s.tolist() == [300 * (5000 - 4096) * MIB]


def test_a_minimum_that_its_guest_does_not_need_is_not_there_for_others() -> None:
    trace = trace_of((4000, 0))
    bound = lower_bound(trace, hosts_of(trace))

    assert bound.unmet_byte_s.tolist() == [300 * (4000 + 256 - 4096) * MIB]


def test_who_is_off_needs_nothing_and_holds_nothing() -> None:
    trace = trace_of((4000, np.nan))
    bound = lower_bound(trace, hosts_of(trace))

    assert bound.unmet_byte_s.tolist() == [0.0]
    assert bound.on_s.tolist() == [300.0]


def test_hosts_are_bounded_each_by_itself_and_empty_places_do_not_count() -> None:
    trace = trace_of((3000, 3000, 3000))
    places = np.array([[0, 1], [2, -1]])
    hosts = lay_out(trace, places, capacity_bytes=4.0 * GIB)
    bound = lower_bound(trace, hosts)

    assert bound.unmet_byte_s.tolist() == [300 * (6000 - 4096) * MIB, 0.0]


def test_as_little_as_all_tolerances_cover_makes_nobody_short() -> None:
    trace = trace_of((2100, 2100))
    hosts = hosts_of(trace)

    assert lower_bound(trace, hosts, tolerance_ratio=0.02).short_s.tolist() == [0.0]
    assert lower_bound(trace, hosts, tolerance_ratio=0.01).short_s.tolist() == [300.0]


def least_missing(trace: Trace, hosts: Hosts, *, grain_mib: int) -> float:
    """Try all sizes of two guests on a grid, row by row."""
    low, high = hosts.minimum_bytes[0], hosts.maximum_bytes[0]
    grids = [np.arange(a, b + 1, grain_mib * MIB) for a, b in zip(low, high, strict=True)]
    sizes = np.array([pair for pair in product(*grids) if sum(pair) <= hosts.capacity_bytes[0]])
    missing = [np.maximum(0.0, row - sizes).sum(axis=1).min() for row in trace.demand_bytes]
    return float(np.sum(missing) * trace.step_s)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_best_of_all_sizes_comes_to(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = chance.integers(0, 80, (6, 2)) * 64.0
    trace = trace_of(*(tuple(row) for row in rows))
    hosts = hosts_of(trace, ratio=0.5)

    best = least_missing(trace, hosts, grain_mib=64)
    assert lower_bound(trace, hosts).unmet_byte_s.sum() == pytest.approx(best)


demands = st.one_of(st.floats(0, 5000), st.just(float("nan")))


@given(
    rows=st.lists(st.tuples(demands, demands, demands), min_size=1, max_size=4),
    ratio=st.sampled_from([0.3, 0.5, 0.8]),
    equal_inputs=st.booleans(),
)
@settings(max_examples=12, deadline=None, derandomize=True)
@pytest.mark.parametrize("name", NAMES)
def test_no_policy_that_keeps_to_the_capacity_has_less_unmet_demand(
    name: str, rows: list[tuple[float, ...]], ratio: float, *, equal_inputs: bool
) -> None:
    trace = trace_of(*rows, step_s=60.0)
    hosts = hosts_of(trace, ratio=ratio)
    tally = Tally(hosts, tolerance_ratio=0.0)
    tally.end(run(trace, hosts, make_policy(name, equal_inputs=equal_inputs), tally))
    bound = lower_bound(trace, hosts)

    allowed = BREACH_BYTES * trace.step_s * len(rows)  # so little over is no breach
    if not tally.per_host["breaches"].any():
        assert tally.guests["unmet_byte_s"].sum() >= bound.unmet_byte_s.sum() - allowed
    assert tally.guests["on_s"].sum() == pytest.approx(bound.on_s.sum())
    assert tally.guests["demand_byte_s"].sum() == pytest.approx(bound.demand_byte_s.sum())
