"""qemus: a controller for each guest, by the host's free memory."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import world_of

from barostat.simulator.policies.qemus import Qemus
from barostat.simulator.world import World
from barostat.units import GIB, MIB


def free_ratio(world: World) -> float:
    return float(world.host_free_bytes[0] / world.hosts.capacity_bytes[0])


def act(policy: Qemus, world: World, *, times: int = 1) -> None:
    for _ in range(times):
        policy.act(world)
        world.advance(policy.period_s)


def test_the_first_step_is_half_the_error_and_a_quarter_of_it_more() -> None:
    world, policy = world_of(1400, 1400), Qemus()
    error = 0.20 - free_ratio(world)
    assert -0.2 < error < 0
    wanted = 2 * GIB - (0.5 * error + 0.05 * 5 * error) * 4 * GIB
    policy.act(world)

    assert world.target_bytes[0] == pytest.approx(wanted, abs=MIB)
    assert wanted > 2 * GIB


def test_no_guest_shrinks_below_what_it_uses_while_a_tenth_of_the_host_is_free() -> None:
    world, policy = world_of(1750, 1750), Qemus()
    assert 0.10 < free_ratio(world) < 0.20
    used = world.assigned_bytes - world.available_bytes
    act(policy, world, times=3)

    assert world.assigned_bytes[0] == pytest.approx(used[0], abs=40 * MIB)
    assert (world.paged_bytes < MIB).all()


def test_guests_shrink_below_what_they_use_when_less_than_a_tenth_of_the_host_is_free() -> None:
    world, policy = world_of(1950, 1950), Qemus()
    assert free_ratio(world) < 0.10
    act(policy, world)

    assert (world.paged_bytes > 0).all()


def test_a_change_of_less_than_128_mib_waits() -> None:
    world, policy = world_of(1000, 1000), Qemus()
    world.hosts.capacity_bytes[0] = world.used_by_host_bytes.sum() / 0.785
    before = world.target_bytes.copy()
    policy.act(world)

    assert (world.target_bytes == before).all()


def test_a_small_change_to_a_bound_is_made() -> None:
    world, policy = world_of(100, 100), Qemus()
    world.ask(np.full((1, 2), 4 * GIB - 64 * MIB))
    world.advance(5.0)
    policy.act(world)

    assert (world.target_bytes == world.hosts.maximum_bytes).all()


def test_a_bound_that_holds_for_long_does_not_delay_the_way_back() -> None:
    world, policy = world_of(100, 100), Qemus()
    act(policy, world, times=40)
    assert (world.assigned_bytes == world.hosts.maximum_bytes).all()
    world.need(np.array([[1900.0, 1900.0]]) * MIB)
    act(policy, world)

    assert (world.target_bytes < world.hosts.maximum_bytes).all()


def test_guests_may_be_granted_more_than_the_host_has_as_none_knows_of_the_others() -> None:
    world, policy = world_of(100, 100, 100, 100), Qemus()
    act(policy, world, times=40)

    assert world.promised_bytes.sum() > world.hosts.capacity_bytes[0]


def test_a_host_that_stalls_lowers_what_guests_may_have_at_most() -> None:
    world, policy = world_of(100, 100), Qemus()
    act(policy, world, times=40)
    world.need(np.array([[3900.0, 3900.0]]) * MIB)
    assert world.host_paged_bytes.sum() > 3 * GIB  # it would stall all the time: 51 MiB a second
    policy.act(world)

    hosts, stalled = world.hosts, 1 - np.exp(-0.5)
    part = (stalled - 0.10) / 0.40
    most = hosts.maximum_bytes - part * (hosts.maximum_bytes - hosts.minimum_bytes)
    assert world.target_bytes == pytest.approx(most, abs=MIB)


def test_it_rests_when_all_are_at_their_maximum() -> None:
    world, policy = world_of(10, 10), Qemus()
    act(policy, world, times=40)

    assert policy.act(world) is None


def test_the_controller_of_a_guest_that_was_off_begins_anew() -> None:
    world, policy = world_of(1000, 1000), Qemus()
    act(policy, world, times=3)
    world.need(np.array([[np.nan, 1000.0]]) * MIB)
    policy.act(world)

    assert policy._integral[0, 0] == 0.0
    assert policy._integral[0, 1] != 0.0
