"""Small worlds and traces that tests make."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from barostat.simulator.hosts import Hosts, Sizing, lay_out
from barostat.simulator.policies.base import SizingPolicy
from barostat.simulator.trace import Trace
from barostat.simulator.world import Habits, Rates, World
from barostat.units import GIB, MIB

__all__ = [
    "change_demand",
    "host_with",
    "hosts_of",
    "proved_rests",
    "random_world",
    "settle",
    "trace_of",
    "world_of",
]


def trace_of(*rows: tuple[float, ...], step_s: float = 300.0, size_gib: float = 4.0) -> Trace:
    """Make a trace of demands in MiB, a row a tuple; all VMs are of one size."""
    demand = np.array(rows) * MIB
    vms = demand.shape[1]
    return Trace(
        name="made",
        vms=tuple(f"vm{number}" for number in range(vms)),
        size_bytes=np.full(vms, size_gib * GIB),
        times_s=np.arange(len(rows), dtype=np.float64) * step_s,
        step_s=step_s,
        demand_bytes=demand,
    )


def hosts_of(trace: Trace, *, ratio: float = 0.5) -> Hosts:
    """Put all VMs of a trace on one host."""
    place = np.arange(len(trace.vms))[None, :]
    return lay_out(trace, place, capacity_ratio=ratio, sizing=Sizing(minimum_low_bytes=256 * MIB))


def world_of(*demand_mib: float, ratio: float = 0.5) -> World:
    """Make a world in which guests need these sizes."""
    trace = trace_of(demand_mib)
    world = World(hosts_of(trace, ratio=ratio), rates=Rates(), habits=Habits(cache_ratio=0.0))
    world.need(trace.demand_bytes[0][None, :])
    return world


def host_with(
    *demand_mib: float,
    assigned_mib: Sequence[float],
    capacity_mib: float,
    minimum_mib: float = 256.0,
    maximum_mib: float = 4096.0,
    cache_mib: float = 0.0,
) -> World:
    """Make a host of guests that have these sizes, and nothing else on it."""
    trace = trace_of(demand_mib, size_gib=maximum_mib / 1024)
    hosts = hosts_of(trace, ratio=1.0)
    hosts.minimum_bytes[:] = minimum_mib * MIB
    hosts.startup_bytes[0] = np.array(assigned_mib) * MIB
    world = World(hosts, rates=Rates(), habits=Habits(cache_ratio=cache_mib / maximum_mib))
    world.need(trace.demand_bytes[0][None, :])
    hosts.capacity_bytes[0] = capacity_mib * MIB
    return world


def random_world(seed: int, *, hosts: int = 3, guests: int = 5) -> World:
    """Make hosts of guests of different sizes, one place empty and some of them off."""
    chance = np.random.default_rng(seed)
    size_bytes = chance.choice([1.0, 2.0, 4.0, 8.0], guests * hosts) * GIB
    trace = trace_of(tuple(np.zeros(guests * hosts)))
    trace = replace(trace, size_bytes=size_bytes)
    vm = np.arange(guests * hosts).reshape(hosts, guests)
    vm[-1, -1] = -1
    laid = lay_out(trace, vm, capacity_ratio=float(chance.uniform(0.4, 0.9)))
    laid.weight[:] = chance.choice([1000.0, 5000.0, 10_000.0], vm.shape)
    world = World(laid, rates=Rates(), habits=Habits())
    change_demand(world, chance)
    return world


def change_demand(world: World, chance: np.random.Generator) -> None:
    """Have all guests need something else; one in ten is off."""
    shape = world.present.shape
    needed = chance.beta(0.7, 1.5, shape) * world.hosts.maximum_bytes
    world.need(np.where(chance.uniform(size=shape) < 0.1, np.nan, needed))


def settle(policy: SizingPolicy, world: World, *, acts: int = 2000) -> int:
    """Let a policy act until it wants no more; give how often it acted."""
    for number in range(acts):
        wait_s = policy.act(world)
        if wait_s is None:
            return number + 1
        world.advance(wait_s)
    raise AssertionError(f"{policy.name} did not come to rest in {acts} looks")


def proved_rests(policy: SizingPolicy, seed: int) -> int:
    """Check that a policy that wanted no more changes nothing until demand does, nor after it.

    Two worlds go the same way until the policy rests. In one of them it goes on looking; then the
    demand changes in both, and all must be the same again, whether it rested or not. Some rules
    never rest with some demands: they go round in circles, as they would in life.

    Returns:
        How often it rested.
    """
    chance, rests = np.random.default_rng(seed), 0
    resting = policy, random_world(seed, hosts=1)
    for _ in range(8):
        rested = any(_looks(*resting) is None for _ in range(300))
        awake = copy.deepcopy(resting)
        rests += rested
        for _ in range(25 * rested):
            assert _looks(*awake) is None
            awake[1].advance(policy.period_s)
            assert _alike(awake[1], resting[1])
        same = copy.deepcopy(chance)
        change_demand(resting[1], chance)
        change_demand(awake[1], same)
        for _ in range(30):
            assert _looks(*resting) == _looks(*awake)
            assert _alike(awake[1], resting[1])
    return rests


def _looks(policy: SizingPolicy, world: World) -> float | None:
    wait_s = policy.act(world)
    world.advance(wait_s or 0.0)
    return wait_s


def _alike(one: World, other: World) -> bool:
    assigned = np.array_equal(one.assigned_bytes, other.assigned_bytes)
    return assigned and np.array_equal(one.target_bytes, other.target_bytes)
