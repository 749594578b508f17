"""How many VMs a host carries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.worlds import trace_of

from barostat.errors import InputError
from barostat.simulator.ceiling import Ceiling, holdable_bytes
from barostat.simulator.density import CLAIRVOYANT, RIGHT_SIZED, Densities, Search, density
from barostat.simulator.trace import Floats, Trace
from barostat.simulator.world import Habits
from barostat.units import GIB, MIB

FREE = Habits(reserve_ratio=0.0, reserve_low_bytes=0.0)
"""Kernels that keep nothing free: sums that can be worked out by hand."""


def ceiling_of(trace: Trace, capacity_mib: float, *, minimum_mib: float = 100.0) -> Ceiling:
    vms = len(trace.vms)
    return Ceiling(
        trace=trace,
        order=np.arange(vms),
        minimum_bytes=np.full(vms, minimum_mib * MIB),
        maximum_bytes=trace.size_bytes,
        capacity_bytes=capacity_mib * MIB,
        habits=FREE,
    )


def shifting(rows: int, vms: int, *, seed: int, high_mib: float = 3000.0) -> Trace:
    """Make a trace in which each VM needs little but for a while."""
    chance = np.random.default_rng(seed)
    demand = chance.uniform(200, 500, (rows, vms))
    demand[chance.integers(0, rows, vms), np.arange(vms)] = high_mib
    return trace_of(*(tuple(row) for row in demand))


def found(search: Search, well: set[int]) -> int:
    while (number := search.next()) is not None:
        search.tell(number, well=number in well)
    return search.best


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_search_finds_the_largest_number_when_more_is_always_worse(
    most: int, limit: int, guess: int
) -> None:
    limit = min(limit, most)

    assert found(Search(most=most, guess=guess), set(range(limit + 1))) == limit


@given(st.sets(st.integers(1, 30)), st.integers(1, 30))
def test_what_a_search_finds_is_well_and_so_are_its_neighbours(well: set[int], guess: int) -> None:
    best = found(Search(most=30, guess=guess), well)

    assert {number for number in range(best - 3, best + 1) if number > 0} <= well
    assert best == 30 or best + 1 not in well or any(n not in well for n in range(1, best + 1))


def test_a_neighbour_that_is_not_well_sends_the_search_below_it() -> None:
    assert found(Search(most=20, guess=10), set(range(12)) - {9}) == 8


def test_fixed_at_their_peaks_as_many_fit_as_the_peaks_allow() -> None:
    trace = trace_of((1000.0, 100.0, 100.0, 500.0), (100.0, 1000.0, 100.0, 500.0))

    assert ceiling_of(trace, 2100).by_peaks() == 3
    assert ceiling_of(trace, 2099).by_peaks() == 2
    assert ceiling_of(trace, 350).by_minimums() == 3


def test_the_clairvoyant_holds_what_never_needs_too_much_at_once() -> None:
    trace = trace_of((1000.0, 200.0, 200.0, 500.0), (200.0, 1000.0, 200.0, 500.0))

    assert ceiling_of(trace, 1400).by_foresight(0.0) == 3  # 1400 at both rows
    assert ceiling_of(trace, 1900).by_foresight(0.0) == 4


def test_the_clairvoyant_has_the_fewest_suffer_and_counts_their_time() -> None:
    rows = [(1000.0, 1000.0, 1000.0)] + [(100.0, 100.0, 100.0)] * 9
    ceiling = ceiling_of(trace_of(*rows), 2000)

    # 3000 of 2000 in one row of ten: who is taken 900 is not enough, so two of three suffer.
    assert ceiling.by_foresight(2 / 30) == 3
    assert ceiling.by_foresight(0.05) == 2
    assert ceiling_of(trace_of(*rows), 2100).by_foresight(1 / 30) == 3


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.floats(500, 8000), st.floats(0, 0.2))
def test_the_clairvoyant_holds_more_with_more_memory_and_never_less_than_peaks(
    seed: int, capacity_mib: float, slo_ratio: float
) -> None:
    trace = shifting(6, 8, seed=seed)
    here = ceiling_of(trace, capacity_mib)
    there = ceiling_of(trace, capacity_mib * 1.2)

    assert here.by_peaks() <= here.by_foresight(slo_ratio) <= there.by_foresight(slo_ratio)
    assert here.by_foresight(slo_ratio) <= here.by_minimums()


def test_what_can_be_held_leaves_out_what_the_kernel_keeps_free() -> None:
    sizes: Floats = np.array([4.0 * GIB, 0.0])

    assert holdable_bytes(sizes, Habits()).tolist() == [4 * GIB - 32 * MIB - 8 * MIB, 0.0]


@pytest.fixture(scope="module")
def measured() -> Densities:
    shares: list[float] = []
    result = density(
        shifting(12, 24, seed=3),
        ["static", "barostat"],
        capacity_bytes=8 * GIB,
        draws=6,
        slo_ratio=0.02,
        seed=1,
        workers=1,
        resamples=500,
        progress=shares.append,
    )
    assert shares[-1] == 1.0
    return result


def test_every_policy_is_between_nothing_and_the_clairvoyant(measured: Densities) -> None:
    by_name = {result.policy: result for result in measured.results}

    assert list(by_name) == [RIGHT_SIZED, "static", "barostat", CLAIRVOYANT]
    for result in measured.results:
        ceilings = zip(result.counts, by_name[CLAIRVOYANT].counts, measured.most, strict=True)
        assert all(0 <= count <= best <= most for count, best, most in ceilings)
    assert by_name["barostat"].vms.value > by_name["static"].vms.value


def test_intervals_and_gains_come_with_it(measured: Densities) -> None:
    fixed, _, own, _ = measured.results

    assert fixed.gain is not None
    assert (fixed.gain.value, fixed.gain.low, fixed.gain.high) == (1, 1, 1)
    assert own.gain is not None
    assert own.gain.value == pytest.approx(sum(own.counts) / sum(fixed.counts))
    assert own.vms.low is not None
    assert own.vms.high is not None
    assert own.vms.low <= own.vms.value <= own.vms.high


def test_it_comes_to_the_same_in_several_processes(measured: Densities) -> None:
    again = density(
        shifting(12, 24, seed=3),
        ["static", "barostat"],
        capacity_bytes=8 * GIB,
        draws=6,
        slo_ratio=0.02,
        seed=1,
        workers=2,
        resamples=500,
    )

    assert again == measured


def test_who_is_not_judged_by_the_minute_of_a_step_carries_no_fewer(measured: Densities) -> None:
    graced = density(
        shifting(12, 24, seed=3),
        ["barostat"],
        capacity_bytes=8 * GIB,
        draws=6,
        slo_ratio=0.02,
        grace_s=60.0,
        seed=1,
        workers=1,
        resamples=500,
    )
    strict = {result.policy: result for result in measured.results}

    for result in graced.results:
        assert result.vms.value >= strict[result.policy].vms.value


def test_a_host_that_holds_nobody_is_refused() -> None:
    with pytest.raises(InputError, match="minimum of a single VM"):
        density(shifting(2, 4, seed=1), ["static"], capacity_bytes=1 * MIB, draws=2)
