"""oVirt's MOM: one step at a time, by averages, and no guest compared with another."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import host_with, proved_rests, settle

from barostat.simulator.policies.mom import Mom
from barostat.simulator.world import World
from barostat.units import MIB


def step(world: World, *, free_ratio: float, equal_inputs: bool = False) -> list[float]:
    """Give the sizes that guests are asked for, in MiB, on a host that has so much free."""
    world.hosts.capacity_bytes[0] = world.used_by_host_bytes.sum() / (1 - free_ratio)
    Mom(equal_inputs=equal_inputs).act(world)
    sizes: list[float] = (world.target_bytes[0] / MIB).tolist()
    return sizes


def test_a_guest_shrinks_by_a_twentieth_at_most() -> None:
    world = host_with(100, assigned_mib=[1024], capacity_mib=4096)

    assert step(world, free_ratio=0.1) == [972]  # 1024 - 5 %, whole MiB


def test_a_guest_keeps_its_use_and_as_large_a_share_free_as_the_host_has() -> None:
    world = host_with(900, assigned_mib=[1024], capacity_mib=4096)

    assert step(world, free_ratio=0.1) == [int(900 + 0.1 * 1024)]


def test_a_critical_host_takes_what_is_in_use() -> None:
    world = host_with(1000, assigned_mib=[1024], capacity_mib=4096)

    assert step(world, free_ratio=0.025) == [int(1000 - 0.025 * 1024)]


def test_a_guest_grows_by_a_twentieth_at_least_whatever_it_needs() -> None:
    world = host_with(100, assigned_mib=[1024], capacity_mib=4096)

    assert step(world, free_ratio=0.5) == [1075]


def test_a_guest_that_uses_nearly_all_grows_to_a_fifth_free_at_once() -> None:
    world = host_with(1000, assigned_mib=[1024], capacity_mib=4096)

    assert step(world, free_ratio=0.5) == [int(1000 + 0.2 * 1024)]


def test_changes_under_a_quarter_percent_are_left_alone() -> None:
    world = host_with(920, assigned_mib=[1024], capacity_mib=4096)

    assert step(world, free_ratio=0.1) == [1024]  # 920 + 10 % are 1022.4


def test_page_cache_is_use_unless_inputs_are_equal() -> None:
    sizes = [
        step(
            host_with(200, assigned_mib=[1024], capacity_mib=4096, cache_mib=4096),
            free_ratio=0.1,
            equal_inputs=equal_inputs,
        )
        for equal_inputs in (False, True)
    ]

    assert sizes == [[1024], [972]]


def test_a_change_of_use_counts_by_a_tenth_with_every_sample() -> None:
    world, policy = host_with(1800, 1000, assigned_mib=(2000, 2400), capacity_mib=2800 / 0.9), Mom()
    world.hosts.minimum_bytes[0, 1] = 2400 * MIB  # it only has the host's use stay as it is
    settle(policy, world)
    world.need(np.array([[1400.0, 1400.0]]) * MIB)
    asked = []
    for _ in range(3):
        policy.act(world)
        asked.append(float(world.target_bytes[0, 0]) / MIB)
        world.advance(5.0)

    first = 0.9 * 1800 + 0.1 * 1400 + 0.1 * 2000
    third = 0.7 * 1800 + 0.3 * 1400 + 0.1 * first
    assert asked == pytest.approx([first, first, third], abs=1.5)


def test_one_that_was_started_has_no_samples_of_before() -> None:
    world, policy = host_with(1000, 1000, assigned_mib=(1024, 1024), capacity_mib=9000), Mom()
    world.need(np.array([[1000.0, np.nan]]) * MIB)
    settle(policy, world)
    world.need(np.array([[1000.0, 1000.0]]) * MIB)
    policy.act(world)

    assert world.target_bytes[0, 1] == int(1000 + 0.2 * 1024) * MIB


def test_all_guests_grow_to_their_maximum_while_the_host_is_not_short() -> None:
    world = host_with(100, 100, assigned_mib=(512, 512), capacity_mib=3000)
    settle(Mom(), world)

    assert (world.assigned_bytes == world.hosts.maximum_bytes).all()  # 8 GiB on 3: as in life


def test_guests_that_are_alike_stay_alike() -> None:
    world = host_with(*[900] * 5, assigned_mib=[1100] * 5, capacity_mib=5000)
    settle(Mom(), world)

    assert np.ptp(world.assigned_bytes) == 0


@pytest.mark.parametrize("equal_inputs", [False, True])
def test_when_it_rests_nothing_would_change(equal_inputs: bool) -> None:
    assert sum(proved_rests(Mom(equal_inputs=equal_inputs), seed) for seed in range(6)) > 6
