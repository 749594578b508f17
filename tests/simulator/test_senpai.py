"""Senpai: trim until it stalls, grow at once."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import world_of

from barostat.simulator.policies.senpai import Senpai
from barostat.simulator.policies.stalls import stalled_ratio
from barostat.simulator.world import World
from barostat.units import GIB, MIB


def act(policy: Senpai, world: World, *, times: int = 1) -> float | None:
    wait_s: float | None = None
    for _ in range(times):
        world.advance(1.0)
        wait_s = policy.act(world)
    return wait_s


def test_a_quiet_guest_is_trimmed_by_a_hundredth_every_six_seconds() -> None:
    world, policy = world_of(100, 100), Senpai()
    seen = []
    for _ in range(18):
        act(policy, world)
        seen.append(float(world.target_bytes[0, 0]))

    assert seen[4] == 2 * GIB
    assert seen[5] == seen[10] == pytest.approx(2 * GIB * 0.99, abs=MIB)
    assert seen[11] == pytest.approx(2 * GIB * 0.99**2, abs=2 * MIB)
    assert seen[17] == pytest.approx(2 * GIB * 0.99**3, abs=3 * MIB)


def test_a_guest_that_stalls_grows_at_the_next_second_by_the_square_of_how_much() -> None:
    world, policy = world_of(100, 100), Senpai()
    act(policy, world)
    lacking = 60 * 36 * MIB * 0.1  # read back once in 60 s: it stalls for a tenth of the time
    reserve = float(world.reserve_bytes[0, 0])
    world.need(np.array([[2 * GIB - reserve + lacking, 100 * MIB]]))
    act(policy, world)

    assert world.target_bytes[0, 0] == pytest.approx(2 * GIB * (1 + (10 / 20) ** 2), abs=MIB)
    assert world.target_bytes[0, 1] == 2 * GIB


def test_a_guest_that_does_nothing_but_stall_is_doubled_and_no_more() -> None:
    world, policy = world_of(100, 100), Senpai()
    world.hosts.maximum_bytes[:] = 16 * GIB
    world.need(np.array([[8 * GIB, 100.0 * MIB]]))
    act(policy, world)

    assert world.target_bytes[0, 0] == 4 * GIB


def test_stalls_below_the_target_are_added_up_and_slow_the_trimming() -> None:
    world, policy = world_of(100, 100), Senpai()
    lacking = 60 * 36 * MIB * 0.0012  # 1.2 ms a second: 7.2 ms in 6 s
    reserve = float(world.reserve_bytes[0, 0])
    world.need(np.array([[2 * GIB - reserve + lacking, 100 * MIB]]))
    act(policy, world, times=6)

    trimmed = 2 * GIB - world.target_bytes[0]
    assert trimmed[0] <= MIB
    assert trimmed[1] == pytest.approx(0.01 * 2 * GIB, abs=MIB)


def test_it_never_looks_at_the_host_and_may_grant_more_than_there_is() -> None:
    world, policy = world_of(3900, 3900), Senpai()
    act(policy, world, times=30)

    assert world.promised_bytes.sum() > world.hosts.capacity_bytes[0]
    assert world.host_paged_bytes.sum() > 0


def test_it_rests_when_all_are_at_their_minimum_and_nobody_stalls() -> None:
    world, policy = world_of(10, 10), Senpai()

    assert act(policy, world, times=100) == 1.0
    assert act(policy, world, times=1900) is None
    assert (world.assigned_bytes == world.hosts.minimum_bytes).all()


def test_a_guest_that_was_off_begins_with_no_stalls() -> None:
    world, policy = world_of(3000, 3000), Senpai()
    world.advance(0.1)
    world.need(np.array([[np.nan, 3000.0]]) * MIB)
    act(policy, world)
    world.need(np.array([[100.0, 3000.0]]) * MIB)
    before = world.target_bytes[0, 0]
    act(policy, world)

    assert world.target_bytes[0, 0] == before


def test_a_guest_stalls_all_the_time_when_it_reads_as_fast_as_it_can() -> None:
    read = np.array([0.0, 9.0, 36.0, 100.0]) * MIB

    assert stalled_ratio(read).tolist() == [0.0, 0.25, 1.0, 1.0]
