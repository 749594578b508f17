"""Demand, with what a program in the guest says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import (
    KERNEL_MIB,
    POLICY,
    Host,
    codes,
    devices,
    guest,
    heard,
    of,
    settings,
    statistics,
)

from barostat.core.demand import estimate
from barostat.core.demand_state import DemandState
from barostat.core.observation import GuestObservation
from barostat.core.policy import DemandPolicy, DemandSource, Policy
from barostat.core.reasons import ReasonCode
from barostat.core.sizes import measure
from barostat.units import MIB

COMMITTED = Policy(demand=DemandPolicy(source=DemandSource.COMMITTED))
FLOOR_MIB = 232
"""What Linux needs for itself in a VM of 1024 MiB."""


def after(*looks: GuestObservation, policy: Policy = POLICY, maximum: int = 2048) -> DemandState:
    state = None
    for seen in looks:
        sizes, known = measure(seen.devices), settings(maximum=maximum)
        state = estimate(state, seen, sizes, settings=known, tight=False, policy=policy)
    assert state is not None
    return state


def reading(
    at: float, refaulted: int | None, *, faults: int = 0, said_at: float | None = None
) -> GuestObservation:
    """A guest with 500 MiB of page cache that read some of it again."""
    says = statistics(devices(), 300, disk_caches_bytes=500 * MIB, major_faults=faults)
    seen = heard(guest(says=says, at=at), at=said_at)
    if refaulted is None or seen.inside is None:
        return seen
    return replace(seen, inside=replace(seen.inside, refaulted_bytes=refaulted * MIB))


# Refaults.


def test_counted_refaults_are_demand_instead_of_what_major_faults_let_guess() -> None:
    state = after(reading(100, 50), reading(101, 150, faults=99_000))

    assert state.demand_bytes == (300 + KERNEL_MIB + 100) * MIB


def test_major_faults_let_guess_where_nobody_counts_refaults() -> None:
    state = after(reading(100, None), reading(101, None, faults=25_600))

    assert state.demand_bytes == (300 + KERNEL_MIB + 100) * MIB


def test_refaulted_cache_is_demand_for_a_minute_and_at_most_the_page_cache() -> None:
    burst = after(reading(100, 0), reading(101, 5000))
    later = after(reading(100, 0), reading(101, 100), reading(400, 100))

    assert burst.demand_bytes == (300 + KERNEL_MIB + 500) * MIB
    assert later.demand_bytes < (300 + KERNEL_MIB + 2) * MIB


def test_words_that_are_repeated_are_counted_once() -> None:
    state = after(reading(100, 0), reading(101, 100), reading(101.5, 100, said_at=101))

    assert state.demand_bytes <= (300 + KERNEL_MIB + 100) * MIB


@pytest.mark.parametrize("before", [guest(used=300, at=100), reading(100, None)])
def test_what_was_counted_before_anybody_listened_is_not_of_now(before: GuestObservation) -> None:
    state = after(before, reading(101, 4000))

    assert state.demand_bytes == (300 + KERNEL_MIB) * MIB


def test_a_count_of_refaults_that_fell_is_none() -> None:
    state = after(reading(100, 4000), reading(101, 10))

    assert state.demand_bytes == (300 + KERNEL_MIB) * MIB


# Committed memory.


def promised(mib: int, *, used: int = 400, at: float = 100.0, balloon: int = 0) -> GuestObservation:
    seen = guest(used=used, at=at, has=devices(balloon=balloon))
    return heard(seen, committed_bytes=mib * MIB)


def test_committed_memory_and_the_kernels_floor_are_demand_as_hyper_v_has_it() -> None:
    state = after(promised(600), policy=COMMITTED)

    assert state.demand_bytes == (600 + FLOOR_MIB) * MIB
    assert state.source is DemandSource.COMMITTED


def test_what_is_committed_counts_only_where_it_is_asked_for() -> None:
    state = after(promised(600))

    assert state.demand_bytes == (400 + KERNEL_MIB) * MIB
    assert state.source is DemandSource.USED


def test_committed_demand_does_not_depend_on_what_the_guest_was_given() -> None:
    small, large = promised(600, balloon=300), promised(600)

    assert (
        after(small, policy=COMMITTED).demand_bytes == after(large, policy=COMMITTED).demand_bytes
    )


def test_a_guest_needs_what_it_uses_however_little_it_committed() -> None:
    state = after(promised(10, used=800), policy=COMMITTED)

    assert state.demand_bytes == (800 + KERNEL_MIB) * MIB


def test_a_guest_that_commits_without_end_needs_its_maximum() -> None:
    assert after(promised(1 << 20), policy=COMMITTED, maximum=1500).demand_bytes == 1500 * MIB


def test_without_settings_the_devices_bound_what_is_committed() -> None:
    seen = promised(1 << 20)
    sizes = measure(seen.devices)
    state = estimate(None, seen, sizes, settings=None, tight=False, policy=COMMITTED)

    assert state is not None
    assert state.demand_bytes == sizes.ceiling_bytes


def test_a_guest_that_does_not_say_what_it_committed_is_judged_by_what_it_uses() -> None:
    silent = guest(used=400)
    vague = heard(guest(used=400), stalled_us=1)

    for seen in (silent, vague):
        state = after(seen, policy=COMMITTED)
        assert state.demand_bytes == (400 + KERNEL_MIB) * MIB
        assert state.source is DemandSource.USED


def test_another_measure_of_demand_is_no_growth() -> None:
    state = after(guest(used=400), promised(1500, at=101), policy=COMMITTED)

    assert state.demand_bytes == (1500 + FLOOR_MIB) * MIB
    assert state.growth_bytes_per_s == 0


def test_a_decision_says_what_demand_is_made_of() -> None:
    host = Host(policy=COMMITTED)

    by_committed = host.tick(promised(1000))
    by_used = Host(policy=COMMITTED).tick(guest(used=1000))
    unknown = Host().tick(replace(guest(), statistics=None))

    assert of(by_committed).source is DemandSource.COMMITTED
    assert ReasonCode.COMMITTED in codes(by_committed)
    assert of(by_used).source is DemandSource.USED
    assert ReasonCode.DEMAND in codes(by_used)
    assert of(unknown).source is DemandSource.USED


# Two readers of the same counters.


def test_counters_that_two_readers_read_a_moment_apart_are_of_one_boot() -> None:
    figures = {"swap_out_bytes": 500 * MIB, "major_faults": 10_000}
    newer = statistics(devices(), 800, swap_in_bytes=300 * MIB, **figures)
    older = replace(newer, swap_in_bytes=290 * MIB, swap_out_bytes=495 * MIB, major_faults=9_990)

    state = after(guest(says=newer, at=100), guest(says=older, at=101), guest(says=newer, at=102))

    assert state.statistics.swap_out_bytes == 500 * MIB
    assert state.returned_bytes == 0
    assert state.marks is not None
    assert state.marks[2] == 101, "it was not begun anew"


def test_a_state_without_marks_measures_growth_from_its_own_demand() -> None:
    old = replace(after(guest(used=300, at=100)), marks=None)
    seen = guest(used=400, at=101)
    state = estimate(old, seen, measure(seen.devices), settings=None, tight=False, policy=POLICY)

    assert state is not None
    assert state.rising_bytes_per_s == 100 * MIB


def test_a_fall_is_followed_ten_times_a_second_without_growth() -> None:
    looks = [guest(used=800 - 10 * tenth, at=100 + tenth / 10) for tenth in range(20)]

    assert after(*looks).growth_bytes_per_s == 0
