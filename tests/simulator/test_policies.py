"""The rules of the peers, each by what its own documents say of it, and all by what all must do."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.worlds import hosts_of, trace_of, world_of

from barostat.errors import InputError
from barostat.simulator.bound import lower_bound
from barostat.simulator.policies.base import SizingPolicy
from barostat.simulator.policies.catalogue import NAMES, make_policy, rule_of
from barostat.simulator.policies.esx import Esx
from barostat.simulator.policies.mom import Mom
from barostat.simulator.policies.proxmox import Proxmox
from barostat.simulator.policies.qemus import Qemus
from barostat.simulator.policies.qmemman import Qmemman
from barostat.simulator.policies.senpai import Senpai
from barostat.simulator.policies.squeezed import Squeezed
from barostat.simulator.run import run
from barostat.simulator.tally import Tally
from barostat.simulator.trace import Trace
from barostat.simulator.world import World
from barostat.units import GIB, MIB


def settle(policy: SizingPolicy, world: World, *, acts: int = 400) -> None:
    """Let a policy act until it wants no more."""
    for _ in range(acts):
        wait_s = policy.act(world)
        if wait_s is None:
            return
        world.advance(wait_s)


def test_proxmox_gives_by_shares_what_the_host_has_over_its_goal() -> None:
    world = world_of(400, 400, 400, 400)
    world.hosts.weight[0] = [15_000, 5000, 5000, 5000]
    world.assigned_bytes[:] = world.target_bytes[:] = world.hosts.minimum_bytes
    world.advance(1.0)
    Proxmox().act(world)

    gained = (world.target_bytes - world.assigned_bytes)[0] / MIB
    assert gained.tolist() == [100, 100, 100, 100]  # no more than that in 10 s
    settle(Proxmox(), world)
    over = (world.assigned_bytes - world.hosts.minimum_bytes)[0]
    assert over[0] == world.hosts.maximum_bytes[0, 0] - world.hosts.minimum_bytes[0, 0]
    assert over[1] == over[2] == over[3]


def test_proxmox_moves_nothing_while_the_host_is_at_its_goal() -> None:
    world = world_of(100, 100)
    used = world.hosts.capacity_bytes[0] - world.host_free_bytes[0]
    world.hosts.capacity_bytes[0] = used / 0.8
    before = world.target_bytes.copy()

    assert Proxmox().act(world) is None
    assert (world.target_bytes == before).all()


def test_mom_changes_no_guest_that_has_room_by_more_than_a_twentieth_at_a_time() -> None:
    world, policy = world_of(1650, 1650), Mom()
    world.hosts.capacity_bytes[0] = 3600 * MIB  # 8 % free: each is to keep that much free
    for _ in range(2):
        policy.act(world)
        world.advance(5.0)

    assert world.assigned_bytes[0] == pytest.approx(2 * GIB * 0.95, abs=MIB)


def test_squeezed_gives_all_guests_one_share_of_their_ranges_and_looks_at_nothing_else() -> None:
    world, policy = world_of(3000, 100, 100), Squeezed()
    settle(policy, world)
    hosts, size = world.hosts, world.assigned_bytes
    share = (size - hosts.minimum_bytes) / (hosts.maximum_bytes - hosts.minimum_bytes)

    assert np.ptp(share) < 0.001
    assert size.sum() <= hosts.capacity_bytes[0] - 72 * MIB


def test_squeezed_leaves_out_one_that_does_not_give() -> None:
    world, policy = world_of(100, 100, ratio=0.9), Squeezed()
    world.hosts.gives[0, 0] = False
    world.hosts.capacity_bytes[0] = 6 * GIB
    settle(policy, world, acts=30)

    assert world.promised_bytes.sum() <= 6 * GIB + world.hosts.minimum_bytes[0, 0]


def test_qmemman_brings_all_guests_to_one_ratio_of_use() -> None:
    world, policy = world_of(1200, 600, 600), Qmemman()
    settle(policy, world)
    ratio = world.assigned_bytes[0] / world.demand_bytes[0]

    assert np.ptp(ratio) / ratio.mean() < 0.05
    assert world.assigned_bytes.sum() > 0.95 * world.hosts.capacity_bytes[0] - 50 * MIB


def test_esx_taxes_idle_memory() -> None:
    world, policy = world_of(1900, 100), Esx()
    settle(policy, world)

    assert world.assigned_bytes[0, 0] > 1.3 * world.assigned_bytes[0, 1]
    assert world.assigned_bytes.sum() <= world.hosts.capacity_bytes[0]


def test_qemus_shrinks_all_while_under_a_fifth_of_the_host_is_free() -> None:
    world, policy = world_of(1900, 1900), Qemus()
    policy.act(world)

    assert (world.target_bytes <= world.assigned_bytes).all()


def test_senpai_trims_the_quiet_by_a_hundredth_and_grows_the_stalled_at_once() -> None:
    world, policy = world_of(100, 3000), Senpai()
    for _ in range(8):
        policy.act(world)
        world.advance(1.0)

    assert world.assigned_bytes[0, 0] == pytest.approx(2 * GIB * 0.99, abs=2 * MIB)
    assert world.assigned_bytes[0, 1] > 2 * GIB


BUSY = [(500.0, 400.0, 300.0)] * 2 + [(3500.0, 400.0, 300.0)] * 2 + [(500.0, 2800.0, np.nan)] * 2


def tally_of(name: str, trace: Trace, *, ratio: float = 0.5) -> tuple[Tally, World]:
    hosts = hosts_of(trace, ratio=ratio)
    tally = Tally(hosts)
    world = run(trace, hosts, make_policy(name), tally)
    tally.end(world)
    return tally, world


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_keeps_its_guests_within_their_bounds_and_says_what_it_does(name: str) -> None:
    tally, world = tally_of(name, trace_of(*BUSY))
    on, hosts = world.present, world.hosts

    assert (world.assigned_bytes[on] >= hosts.minimum_bytes[on]).all()
    assert (world.assigned_bytes[on] <= hosts.maximum_bytes[on]).all()
    assert rule_of(name).endswith(".")
    assert tally.guests["on_s"].sum() == pytest.approx(300 * (3 * 4 + 2 * 2))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_none_that_never_breaches_has_less_unmet_demand_than_the_clairvoyant(
    name: str, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    trace = trace_of(*(tuple(row) for row in chance.uniform(50, 4000, (6, 4))))
    tally, _ = tally_of(name, trace)
    least = lower_bound(trace, hosts_of(trace)).unmet_byte_s.sum()

    if not tally.per_host["breaches"].any():
        assert tally.guests["unmet_byte_s"].sum() >= least * (1 - 1e-9) - 300 * 8 * MIB


@pytest.mark.parametrize("name", ["barostat", "barostat-share"])
@pytest.mark.parametrize("seed", range(6))
def test_barostat_never_hands_out_more_than_the_host_has(name: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = chance.uniform(50, 4000, (8, 5)) * chance.integers(0, 2, (8, 5))
    tally, _ = tally_of(name, trace_of(*(tuple(row) for row in rows)), ratio=0.4)

    assert tally.per_host["breaches"].sum() == 0


def test_a_policy_that_does_not_exist_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(InputError, match="barostats") as unknown:
        make_policy("barostats")

    assert "did you mean barostat?" in unknown.value.hint
