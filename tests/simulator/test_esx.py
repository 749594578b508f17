"""ESX: shares, the idle memory tax, and what the host pages."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import world_of

from barostat.simulator.policies.esx import BALLOON_RATIO, Esx
from barostat.simulator.trace import Floats
from barostat.simulator.world import World
from barostat.units import GIB, MIB


def settle(policy: Esx, world: World, *, acts: int = 4000) -> None:
    for _ in range(acts):
        wait_s = policy.act(world)
        if wait_s is None:
            return
        world.advance(wait_s)
    raise AssertionError("it never rested")


def price_of(world: World) -> Floats:
    """Compute what each guest of the first host pays, all that is in its memory being active."""
    hosts, size = world.hosts, world.assigned_bytes[0]
    active = world.resident_bytes[0] + world.reserve_bytes[0]
    price: Floats = hosts.weight[0] * hosts.maximum_bytes[0] / (active + 4.0 * (size - active))
    return price


def test_all_guests_within_their_bounds_pay_one_price() -> None:
    world = world_of(1900, 900, 100)
    settle(Esx(), world)
    price = price_of(world)

    assert np.ptp(price) / price.mean() < 0.01


def test_an_idle_page_costs_as_much_as_four_active_ones() -> None:
    world = world_of(3500, 0, ratio=0.5)
    settle(Esx(), world)
    busy, idle = world.assigned_bytes[0]

    assert world.demand_bytes[0, 0] > busy  # all of it is active
    assert busy / idle == pytest.approx(4.0, rel=0.05)


def test_a_guest_of_twice_the_weight_has_twice_the_idle_memory() -> None:
    world = world_of(0, 0, 0, ratio=0.5)
    world.hosts.weight[0] = [10_000, 5000, 5000]
    settle(Esx(), world)
    size = world.assigned_bytes[0]

    assert size[0] / size[1] == pytest.approx(2.0, rel=0.01)
    assert size[1] == size[2]


def test_shares_come_with_the_size_of_a_vm() -> None:
    world = world_of(0, 0, ratio=0.5)
    world.hosts.maximum_bytes[0] = [6 * GIB, 2 * GIB]
    settle(Esx(), world)

    assert world.assigned_bytes[0, 0] / world.assigned_bytes[0, 1] == pytest.approx(3.0, rel=0.01)


def test_nothing_is_taken_on_a_host_that_has_enough_for_all() -> None:
    world = world_of(100, 100, ratio=1.5)
    settle(Esx(), world)

    assert (world.assigned_bytes == world.hosts.maximum_bytes).all()


def test_what_is_to_be_free_of_the_host_stays_free() -> None:
    world = world_of(3900, 3900, 3900)
    settle(Esx(), world)

    assert world.assigned_bytes.sum() <= 0.94 * world.hosts.capacity_bytes[0]
    assert world.assigned_bytes.sum() > 0.93 * world.hosts.capacity_bytes[0]


def test_memory_is_given_only_when_it_has_been_taken_from_others() -> None:
    world, policy = world_of(100, 100), Esx()
    settle(policy, world)
    world.need(np.array([[3500.0, 100.0]]) * MIB)
    for _ in range(60):
        policy.act(world)
        assert world.promised_bytes.sum() <= world.hosts.capacity_bytes[0]
        world.advance(0.5)

    assert world.assigned_bytes[0, 0] > 1.5 * world.assigned_bytes[0, 1]


def test_a_guest_that_does_not_give_is_not_handed_out_twice() -> None:
    world = world_of(0, 3500, ratio=0.5)
    world.hosts.gives[0, 0] = False
    settle(Esx(), world)

    assert world.promised_bytes.sum() <= world.hosts.capacity_bytes[0]


def test_memory_that_goes_idle_is_called_idle_only_slowly() -> None:
    world, policy = world_of(1900, 1900), Esx()
    settle(policy, world)
    before = world.assigned_bytes[0, 0]
    world.need(np.array([[100.0, 1900.0]]) * MIB)
    policy.act(world)
    world.advance(5.0)

    assert world.assigned_bytes[0, 0] == before
    settle(policy, world)
    assert world.assigned_bytes[0, 0] < 0.9 * before


def test_the_host_pages_what_is_taken_beyond_the_balloon() -> None:
    world = world_of(1300, 1300, 1300, 1300, ratio=0.25)
    settle(Esx(), world)

    assert (world.assigned_bytes < (1 - BALLOON_RATIO) * world.hosts.maximum_bytes).all()
    assert world.host_paging.all()
    short = np.maximum(0.0, world.demand_bytes - world.assigned_bytes)
    assert world.short_bytes == pytest.approx(2.0 * short)


def test_a_guest_that_lacks_little_beyond_the_balloon_pages_by_itself() -> None:
    world = world_of(3900, 3900, ratio=0.37)
    settle(Esx(), world)

    assert (world.demand_bytes > world.assigned_bytes).all()
    assert not world.host_paging.any()


@pytest.mark.parametrize("equal_inputs", [False, True])
def test_a_guest_that_pages_is_given_its_part_at_the_next_look(*, equal_inputs: bool) -> None:
    world, policy = world_of(100, 100, 100), Esx(equal_inputs=equal_inputs)
    settle(policy, world)
    world.need(np.array([[3500.0, 100.0, 100.0]]) * MIB)
    for _ in range(10):
        world.advance(policy.act(world) or 5.0)
    soon = float(world.assigned_bytes[0, 0])
    settle(policy, world)

    assert soon == pytest.approx(world.assigned_bytes[0, 0], rel=0.01)
