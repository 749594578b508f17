"""Qubes OS' qmemman: the same multiple of its use for everybody."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import host_with, proved_rests, random_world, settle

from barostat.simulator.policies.qmemman import Qmemman
from barostat.simulator.world import World
from barostat.units import MIB


def sizes_mib(world: World) -> list[float]:
    sizes: list[float] = (world.assigned_bytes[0] / MIB).tolist()
    return sizes


def test_all_that_there_is_goes_to_guests_in_proportion_to_their_use() -> None:
    world = host_with(400, 800, 1600, assigned_mib=(1500, 1500, 1500), capacity_mib=6000)
    settle(Qmemman(), world)
    ratio = np.array(sizes_mib(world)) / [400, 800, 1600]

    assert ratio == pytest.approx([0.999 * 5950 / 2800] * 3, rel=0.003)
    assert 5900 <= sum(sizes_mib(world)) <= 5950


def test_what_guests_at_their_maximum_leave_is_split_evenly() -> None:
    world = host_with(3000, 400, 200, assigned_mib=(3000, 1000, 500), capacity_mib=8000)
    settle(Qmemman(), world)
    spare = 7950 - 1.3 * 3600
    raw = [0.999 * 1.3 * used * (1 + spare / (1.3 * 3600)) for used in (3000, 400, 200)]
    bonus = (raw[0] - 4096) / 2

    assert sizes_mib(world) == pytest.approx([4096, raw[1] + bonus, raw[2] + bonus], rel=0.005)


def test_when_there_is_less_than_all_should_have_the_others_go_down_to_theirs() -> None:
    world = host_with(500, 3000, 3000, assigned_mib=(2000, 1500, 2000), capacity_mib=5600)
    settle(Qmemman(), world)
    given = 5600 - 50 - 5500 + 2000 - 650

    assert sizes_mib(world) == pytest.approx([650, 1500 + given / 2, 2000 + given / 2], abs=3)


def test_no_guest_is_to_have_less_than_two_hundred_mib() -> None:
    world = host_with(20, 3000, assigned_mib=(1500, 1500), minimum_mib=64, capacity_mib=3100)
    settle(Qmemman(), world)

    assert sizes_mib(world)[0] == 200


@pytest.mark.parametrize(("rise_mib", "reports"), [(29, False), (30, True)])
def test_a_guest_reports_when_its_use_changed_by_thirty_thousand_kib(
    rise_mib: float,
    reports: bool,
) -> None:
    world, policy = host_with(1000, 2000, assigned_mib=(1500, 3000), capacity_mib=5000), Qmemman()
    settle(policy, world)
    before = sizes_mib(world)
    world.need(np.array([[1000.0 + rise_mib, 1500.0 if reports else 2000.0]]) * MIB)
    settle(policy, world)

    assert (sizes_mib(world) != before) is reports


def test_half_of_that_is_enough_where_memory_is_tight() -> None:
    world, policy = host_with(2000, 2000, assigned_mib=(2100, 2300), capacity_mib=4450), Qmemman()
    settle(policy, world)
    before = policy._reported.copy()
    world.need(np.array([[2016.0, 2010.0]]) * MIB)
    settle(policy, world)

    assert ((policy._reported - before)[0] / MIB).tolist() == [16, 0]


def test_small_changes_are_left_alone() -> None:
    world, policy = host_with(1000, 1000, assigned_mib=(2000, 2000), capacity_mib=4100), Qmemman()
    settle(policy, world)
    before = sizes_mib(world)
    world.need(np.array([[1035.0, 1000.0]]) * MIB)  # a report, and about 35 MiB to each side
    settle(policy, world)

    assert sizes_mib(world) == before


def test_donors_go_first_and_the_others_when_there_is_room() -> None:
    world, policy = host_with(400, 400, assigned_mib=(3000, 500), capacity_mib=3600), Qmemman()
    policy.act(world)

    assert world.target_bytes[0, 0] < 3000 * MIB
    assert world.target_bytes[0, 1] == 500 * MIB
    settle(policy, world)
    assert sizes_mib(world)[0] == pytest.approx(sizes_mib(world)[1], abs=1)


def test_one_that_gives_nothing_is_left_out_after_half_a_second() -> None:
    world, policy = host_with(400, 2000, assigned_mib=(2000, 500), capacity_mib=3600), Qmemman()
    world.hosts.gives[0, 0] = False
    acts = settle(policy, world)

    assert acts < 20
    assert sizes_mib(world) == pytest.approx([2000, 1550], abs=2)


def test_one_that_gives_slowly_is_waited_for() -> None:
    world, policy = host_with(400, 2000, assigned_mib=(3000, 500), capacity_mib=3600), Qmemman()
    world.hosts.pace[0, 0] = 0.1
    settle(policy, world)

    assert sizes_mib(world)[1] > 2600


def test_equal_inputs_count_what_the_kernel_keeps_as_used() -> None:
    used = []
    for equal_inputs in (False, True):
        world = host_with(800, assigned_mib=[1280], capacity_mib=4000, cache_mib=2048)
        policy = Qmemman(equal_inputs=equal_inputs)
        policy.act(world)
        used.append(policy._reported[0, 0] / MIB)

    assert used == [800, 800 + 8 + 1280 / 128]


@pytest.mark.parametrize("seed", range(8))
def test_no_more_is_handed_out_than_there_is(seed: int) -> None:
    world, policy = random_world(seed), Qmemman()
    before = np.maximum(world.hosts.capacity_bytes, world.promised_bytes.sum(axis=1))
    for _ in range(100):
        policy.act(world)
        assert (world.promised_bytes.sum(axis=1) <= before).all()
        world.advance(0.1)


def test_hosts_do_not_wait_for_one_another() -> None:
    together = random_world(1)
    settle(Qmemman(), together)
    slow = random_world(1)
    slow.hosts.pace[0] = 0.02
    settle(Qmemman(), slow, acts=100_000)

    assert np.array_equal(together.assigned_bytes[1:], slow.assigned_bytes[1:])


def test_guests_that_are_alike_stay_alike() -> None:
    world = host_with(*[900] * 5, assigned_mib=[1100] * 5, capacity_mib=6000)
    settle(Qmemman(), world)

    assert np.ptp(world.assigned_bytes) == 0


@pytest.mark.parametrize("equal_inputs", [False, True])
def test_when_it_rests_nothing_would_change(equal_inputs: bool) -> None:
    assert sum(proved_rests(Qmemman(equal_inputs=equal_inputs), seed) for seed in range(6)) > 6
