"""Proxmox VE's auto-ballooning: what its documents and its own tests say it does."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import host_with, proved_rests, random_world, settle

from barostat.simulator.policies.proxmox import Proxmox
from barostat.simulator.world import Habits, World
from barostat.units import MIB


def gained_mib(world: World) -> list[float]:
    gained: list[float] = ((world.target_bytes - world.assigned_bytes)[0] / MIB).tolist()
    return gained


def with_goal(goal_mib: float) -> World:
    """Make the pair of its example: one at its minimum with 10 MiB free, one of 3 GiB, 2 free."""
    world = host_with(1014, 1024, assigned_mib=(1024, 3072), minimum_mib=1024, capacity_mib=8192)
    used = world.used_by_host_bytes.sum()
    world.hosts.capacity_bytes[0] = (used + goal_mib * MIB) / 0.8
    return world


@pytest.mark.parametrize("goal_mib", [0, 9, -9])
def test_a_host_within_ten_mib_of_its_goal_moves_nothing(goal_mib: float) -> None:
    world = with_goal(goal_mib)

    assert Proxmox().act(world) is None
    assert gained_mib(world) == [0, 0]


def test_a_guest_under_pressure_is_given_memory_and_one_with_enough_is_not() -> None:
    world = with_goal(200)
    Proxmox().act(world)

    assert gained_mib(world) == [100, 0]


def test_a_guest_with_enough_gives_and_one_under_pressure_does_not() -> None:
    world = with_goal(-200)
    Proxmox().act(world)

    assert gained_mib(world) == [0, -100]


def test_nine_gib_go_to_guests_by_their_shares() -> None:
    """The example of its documents: of 32 GB 16 are used; shares of 3000 and three of 1000."""
    size = 16 * 1024
    world = host_with(
        *[100] * 4, assigned_mib=[1024] * 4, minimum_mib=1024, maximum_mib=size, capacity_mib=36_000
    )
    world.hosts.weight[0] = [15_000, 5000, 5000, 5000]
    world.hosts.capacity_bytes[0] = (world.used_by_host_bytes.sum() + 9216 * MIB) / 0.8
    policy = Proxmox()
    for _ in range(47):  # as many as the largest part takes in steps of 100 MiB
        policy.act(world)
        world.advance(10.0)
        world.hosts.capacity_bytes[0] = (
            world.used_by_host_bytes.sum() + 9216 * MIB - (world.assigned_bytes - 1024 * MIB).sum()
        ) / 0.8

    over = (world.assigned_bytes[0] / MIB - 1024) / 1024
    assert over == pytest.approx([4.5, 1.5, 1.5, 1.5], abs=0.02)


def test_no_guest_moves_by_more_than_a_hundred_mib_in_ten_seconds() -> None:
    world = host_with(100, 100, assigned_mib=(300, 4000), capacity_mib=20_000)
    for _ in range(20):
        Proxmox().act(world)
        assert (np.abs(gained_mib(world)) <= 100).all()
        world.advance(10.0)


def test_what_a_full_guest_cannot_take_goes_to_the_others() -> None:
    world = host_with(4000, 4000, 4000, assigned_mib=(4096, 3900, 3900), capacity_mib=12_000)
    used = world.used_by_host_bytes.sum()
    world.hosts.capacity_bytes[0] = (used + 150 * MIB) / 0.8
    Proxmox().act(world)

    assert gained_mib(world)[0] <= 0
    assert gained_mib(world)[1] == gained_mib(world)[2] > 0


def test_page_cache_counts_as_pressure_unless_inputs_are_equal() -> None:
    for equal_inputs, expected in ((False, [100, 100]), (True, [0, 100])):
        world = host_with(
            200, 1000, assigned_mib=(1024, 1024), minimum_mib=1024, capacity_mib=8192,
            cache_mib=2048,
        )  # fmt: skip
        world.hosts.capacity_bytes[0] = (world.used_by_host_bytes.sum() + 400 * MIB) / 0.8
        Proxmox(equal_inputs=equal_inputs).act(world)
        assert gained_mib(world) == expected


def test_guests_that_are_alike_stay_alike() -> None:
    world = host_with(*[900] * 5, assigned_mib=[1500] * 5, capacity_mib=6000)
    settle(Proxmox(), world)

    assert np.ptp(world.assigned_bytes) == 0


@pytest.mark.parametrize("equal_inputs", [False, True])
def test_when_it_rests_nothing_would_change(equal_inputs: bool) -> None:
    assert sum(proved_rests(Proxmox(equal_inputs=equal_inputs), seed) for seed in range(6)) > 6


def test_it_does_not_rest_on_statistics_that_are_older_than_the_demand() -> None:
    world = with_goal(0)
    world.habits = Habits(cache_ratio=0.0, lag_s=30.0)
    world.need(world.demand_bytes.copy())
    world.advance(60.0)
    assert Proxmox().act(world) is None

    world.need(world.demand_bytes + np.array([[MIB, -MIB]]))

    assert Proxmox().act(world) == 10.0


def test_a_guest_that_gives_nothing_is_not_waited_for_forever() -> None:
    world = random_world(3)
    world.hosts.gives[:] = False
    world.hosts.capacity_bytes[:] /= 2

    assert settle(Proxmox(), world) < 200
