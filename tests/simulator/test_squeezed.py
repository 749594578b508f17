"""XenServer's squeezed: one share for all, those first that give, and none waited for forever."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import host_with, proved_rests, random_world, settle

from barostat.simulator.policies.squeezed import Squeezed
from barostat.simulator.world import World
from barostat.units import MIB


def shares(world: World) -> list[float]:
    low, high = world.hosts.minimum_bytes, world.hosts.maximum_bytes
    part: list[float] = ((world.assigned_bytes - low) / (high - low))[0].tolist()
    return part


def test_every_guest_has_the_share_that_the_host_allows() -> None:
    world = host_with(100, 3000, assigned_mib=(1024, 1024), capacity_mib=512 + 72 + 3840)
    settle(Squeezed(), world)

    assert shares(world) == pytest.approx([0.5, 0.5], abs=0.001)  # 3840 MiB of ranges of 7680


def test_what_guests_use_is_not_looked_at() -> None:
    sizes = []
    for demand_mib in (100.0, 3000.0):
        world = host_with(demand_mib, 500, assigned_mib=(1024, 1024), capacity_mib=3000)
        settle(Squeezed(), world)
        sizes.append(world.assigned_bytes.tolist())

    assert sizes[0] == sizes[1]


def test_nobody_grows_before_all_have_given() -> None:
    world, policy = host_with(100, 100, assigned_mib=(4096, 300), capacity_mib=4500), Squeezed()
    policy.act(world)
    first = world.target_bytes[0] / MIB
    world.advance(1.0)
    while world.moving_s > 0:
        assert policy.act(world) == 1.0
        assert world.target_bytes[0, 1] == 300 * MIB
        world.advance(1.0)
    policy.act(world)

    assert first[0] < 4096
    assert first[1] == 300
    assert world.target_bytes[0, 1] > 300 * MIB


@pytest.mark.parametrize("capacity_mib", [500, 10_000])
def test_the_share_is_never_less_than_nothing_nor_more_than_all(capacity_mib: float) -> None:
    world = host_with(100, 100, assigned_mib=(1024, 1024), capacity_mib=capacity_mib)
    settle(Squeezed(), world)

    assert shares(world) == ([0, 0] if capacity_mib == 500 else [1, 1])


def test_one_that_gives_nothing_for_five_seconds_is_left_out() -> None:
    world, policy = host_with(100, 100, assigned_mib=(3000, 500), capacity_mib=4000), Squeezed()
    world.hosts.gives[0, 0] = False
    acts = settle(policy, world)

    assert 6 <= acts <= 9
    assert world.assigned_bytes[0, 0] == 3000 * MIB
    assert world.assigned_bytes[0, 1] == pytest.approx((4000 - 3000 - 72) * MIB, abs=MIB)


def test_one_that_was_left_out_is_believed_again_the_next_time() -> None:
    world, policy = host_with(100, 100, assigned_mib=(3000, 500), capacity_mib=4000), Squeezed()
    world.hosts.gives[0, 0] = False
    settle(policy, world)
    world.hosts.gives[0, 0] = True
    settle(policy, world)

    assert shares(world)[0] == pytest.approx(shares(world)[1], abs=0.001)


def test_what_a_guest_gave_and_the_host_did_not_get_is_not_handed_out() -> None:
    world = host_with(100, 100, assigned_mib=(3000, 500), capacity_mib=4000)
    world.hosts.returns[0, 0] = False
    settle(Squeezed(), world)

    assert world.promised_bytes.sum() <= (4000 - 72 + 1) * MIB


@pytest.mark.parametrize("seed", range(8))
def test_the_reserve_stays_free_and_all_are_within_their_bounds(seed: int) -> None:
    world = random_world(seed)
    settle(Squeezed(), world)
    on, hosts, size = world.present, world.hosts, world.assigned_bytes
    at_minimum = (~on | (size == hosts.minimum_bytes)).all(axis=1)
    free = hosts.capacity_bytes - size.sum(axis=1)

    assert ((free >= 72 * MIB) | at_minimum).all()
    assert (size[on] >= hosts.minimum_bytes[on]).all()
    assert (size[on] <= hosts.maximum_bytes[on]).all()


def test_guests_that_are_alike_stay_alike() -> None:
    world = host_with(100, 200, 900, 50, 20, assigned_mib=[1100] * 5, capacity_mib=5000)
    settle(Squeezed(), world)

    assert np.ptp(world.assigned_bytes) == 0


def test_when_it_rests_nothing_would_change() -> None:
    assert sum(proved_rests(Squeezed(), seed) for seed in range(6)) > 6
