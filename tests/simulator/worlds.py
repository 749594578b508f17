"""Small worlds and traces that tests make."""

from __future__ import annotations

import numpy as np

from barostat.simulator.hosts import Hosts, Sizing, lay_out
from barostat.simulator.trace import Trace
from barostat.simulator.world import Habits, Rates, World
from barostat.units import GIB, MIB

__all__ = ["hosts_of", "trace_of", "world_of"]


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
